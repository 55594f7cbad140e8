"""Options that people write in more than one way come out as one value; everything else is left to be refused."""

from __future__ import annotations

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from nncompress.passes.option_types import GroupSize, Names, Share

SHARE: TypeAdapter[float] = TypeAdapter(Share)
GROUP_SIZE: TypeAdapter[int | str] = TypeAdapter(GroupSize)
NAMES: TypeAdapter[tuple[str, ...]] = TypeAdapter(Names)


@pytest.mark.parametrize(
    ("written", "share"),
    [(0.5, 0.5), ("0.5", 0.5), ("50%", 0.5), (" 12.5 % ", 0.125), ("0 %", 0), ("1e1%", 0.1), (1, 1)],
)
def test_a_share_is_a_number_or_percent(written: object, share: float) -> None:
    assert math.isclose(SHARE.validate_python(written), share)


@pytest.mark.parametrize("written", ["%", "half", "50 % of it", "5 0 %", "50 %%", None, [0.5]])
def test_what_is_no_share_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        SHARE.validate_python(written)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ([], ()), (("Conv",), ("Conv",)), (["Conv,MatMul"], ("Conv", "MatMul")), (["Conv, Gemm", "MatMul"],
        ("Conv", "Gemm", "MatMul")), (["Conv,"], ("Conv", "")),
    ],
)  # fmt: skip
def test_names_stand_alone_or_with_commas(written: object, names: tuple[str, ...]) -> None:
    assert NAMES.validate_python(written) == names


@pytest.mark.parametrize("written", ["Conv", [3], None])
def test_what_is_no_list_of_names_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        NAMES.validate_python(written)


@pytest.mark.parametrize(("written", "size"), [(16, 16), ("16", 16), (" 8 ", 8), ("auto", "auto"), ("all", "all")])
def test_a_group_has_so_many_channels_or_a_word(written: object, size: int | str) -> None:
    assert GROUP_SIZE.validate_python(written) == size


@pytest.mark.parametrize("written", [0, -3, "0", "1.5", 2.5, True, "each", "", None, [16]])
def test_what_is_no_size_of_a_group_is_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="takes a number of channels, auto or all, not"):
        GROUP_SIZE.validate_python(written)
