"""Work that is shared out: results in order, each part in a process of its own, and one clear line where one dies."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nncompress.errors import InputError, NoOutputError
from nncompress.progress import Announce
from nncompress.runtime.jobs import Jobs, in_jobs
from nncompress.runtime.libraries import registered, registering


def where(number: int, announce: Announce) -> tuple[int, int]:
    return number, os.getpid()


def dying(number: int, announce: Announce) -> int:
    if number == 2:
        os._exit(7)
    return number


def refusing(number: int, announce: Announce) -> int:
    raise InputError(f"number {number} is refused")


def seen(number: int, announce: Announce) -> tuple[int, tuple[Path, ...]]:
    return number, registered()


def hungry(announce: Announce) -> None:
    raise MemoryError


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(1)])
def test_results_come_in_order_from_other_processes(executor: ThreadPoolExecutor | None) -> None:
    found = in_jobs(where, [(1,), (2,), (3,)], Jobs(3, executor))
    assert [number for number, _ in found] == [1, 2, 3]
    assert len({os.getpid(), *(process for _, process in found)}) == 4


def test_a_process_that_dies_is_one_clear_line() -> None:
    with pytest.raises(NoOutputError, match=r"^a process that shared the work ended: .*7"):
        in_jobs(dying, [(1,), (2,)], Jobs(2))


def test_what_one_part_refuses_is_said_as_it_said_it() -> None:
    with pytest.raises(InputError, match="number 1 is refused"):
        in_jobs(refusing, [(1,)], Jobs(1))


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(1)])
def test_libraries_of_operators_are_registered_there_too(executor: ThreadPoolExecutor | None, tmp_path: Path) -> None:
    (tmp_path / "operators.so").touch()
    with registering([tmp_path / "operators.so"]):
        found = in_jobs(seen, [(1,), (2,)], Jobs(2, executor))
    assert found == [(number, (tmp_path / "operators.so",)) for number in (1, 2)]


def test_too_little_memory_is_said() -> None:
    with pytest.raises(NoOutputError, match="not enough memory: give it fewer --jobs"):
        in_jobs(hungry, [()], Jobs())
