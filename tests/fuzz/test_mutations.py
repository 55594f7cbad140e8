"""Whatever is done to a model file: a result with the same interface comes out, or one line that says why not.

python -m tests.fuzz.test_mutations 4711        runs one case again and shows what it is
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.harness import problem_with, problems
from tests.fuzz.mutator import make_case

QUICK = 300
ALL, CHUNK = 20_000, 500
MEMORY_FOLDER = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where possible: files are flushed to the disk when they are written."""
    with tempfile.TemporaryDirectory(dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None) as name:
        yield Path(name)


@pytest.mark.parametrize("start", range(0, QUICK, 100))
def test_the_first_damaged_models_end_well(start: int, folder: Path) -> None:
    found = problems(range(start, start + 100), folder)
    assert not found, "\n\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, ALL, CHUNK))
def test_twenty_thousand_damaged_models_end_well(start: int, folder: Path) -> None:
    found = problems(range(start, start + CHUNK), folder)
    assert not found, "\n\n".join(found)


def test_a_number_always_makes_the_same_case() -> None:
    for number in (1, 8, 50, 403):
        assert make_case(number) == make_case(number)


if __name__ == "__main__":
    case = make_case(int(sys.argv[1]))
    sys.stdout.write(f"{case.seed}: {', '.join(case.steps)}\n")
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(f"{problem_with(case, Path(name)) or 'ends well'}\n")
