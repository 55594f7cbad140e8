"""`passes`: every pass is listed, and documented with all its options."""

from __future__ import annotations

import dataclasses

import pytest

from nncompress.passes import ALL_PASSES
from nncompress.passes.base import Pass
from nncompress.passes.spec import parse_step
from tests.support import nncompress

each_pass = pytest.mark.parametrize("kind", ALL_PASSES, ids=lambda kind: kind.name)


def test_every_pass_is_listed_with_a_sentence() -> None:
    lines = nncompress("passes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [kind.name for kind in ALL_PASSES]
    assert all(line.endswith(".") for line in lines)


@each_pass
def test_a_pass_is_documented_with_all_its_options(kind: type[Pass]) -> None:
    ended = nncompress("passes", kind.name)
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[0] == kind.name
    for field in dataclasses.fields(kind):
        (number,) = (n for n, line in enumerate(lines) if line.startswith(f"  {field.name}="))
        assert lines[number + 1].startswith("      ")
        assert lines[number + 1].strip(), f"option {field.name} is not explained"


@each_pass
def test_a_pass_can_be_named_as_a_step(kind: type[Pass]) -> None:
    assert parse_step(kind.name) == kind()
