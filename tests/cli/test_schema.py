"""`schema`: prints what tests/test_schemas.py holds to the code, and refuses anything else."""

from __future__ import annotations

import json

import pytest

from tests.support import nncompress, one_line


@pytest.mark.parametrize("kind", ["recipe", "report", "check"])
def test_a_schema_is_printed_as_json(kind: str) -> None:
    ended = nncompress("schema", kind)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["title"] == f"nncompress {kind}"


def test_a_schema_that_is_not_there_is_refused() -> None:
    ended = nncompress("schema", "reprot")
    assert (ended.exit_code, "did you mean 'report'?" in one_line(ended.stderr)) == (2, True)
