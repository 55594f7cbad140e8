"""All forms, at equal cost the first one counts: the one place where a new form is entered."""

from __future__ import annotations

from typing import Any, get_args

from nncompress.errors import UsageError
from nncompress.forms.cast import Cast
from nncompress.forms.codebook import Codebook
from nncompress.forms.dense import Dense
from nncompress.forms.dequantize import BITS, FROM_OPSET, PER_CHANNEL_FROM_OPSET, Dequantize
from nncompress.forms.fill import Fill
from nncompress.forms.folded import Folded
from nncompress.forms.form import DEFAULT_FORM, Form, Target
from nncompress.forms.gather_dequantize import GatherDequantize
from nncompress.forms.integer import Integer
from nncompress.forms.numbers import LEAST_PACKED_OPSET
from nncompress.forms.signs import Signs

ALL_FORMS: tuple[Form[Any], ...] = (
    GatherDequantize(), Folded(), Dequantize(), Integer(), Cast(), Codebook(), Signs(), Fill(), Dense(),
)  # fmt: skip


def form_names() -> list[str]:
    """What a run may ask for: the default, and the forms that are taken on request only."""
    return [DEFAULT_FORM, *(form.name for form in ALL_FORMS if form.on_request)]


def bits_of(name: str) -> tuple[int, ...]:
    """How many bits the integers may have that form `name` holds."""
    return BITS if name == Dequantize.name else tuple(range(2, 9))


def needed_opset(name: str, *, per_channel: bool, bits: int) -> int:
    """The opset from which on form `name` holds integers of so many bits with one scale, or one for each channel."""
    if name == Dequantize.name and bits in FROM_OPSET:
        return FROM_OPSET[bits]
    if name == DEFAULT_FORM and bits < 8:
        return LEAST_PACKED_OPSET
    if per_channel and name == Dequantize.name:
        return PER_CHANNEL_FROM_OPSET
    return next(form.least_opset for form in ALL_FORMS if form.name == name)


def check_target(name: object) -> Target:
    """`name` where a result may be meant for it. Raises UsageError with the names that there are."""
    for target in get_args(Target):
        if name == target:
            return target  # type: ignore[no-any-return]
    raise UsageError(f"unknown target {name!r}: it is {' or '.join(get_args(Target))}")


def check_form(name: object) -> str:
    """`name` where a run may ask for it. Raises UsageError with the names that there are."""
    if name not in form_names():
        raise UsageError(f"unknown form {name!r}: it is {', '.join(form_names())}")
    return str(name)
