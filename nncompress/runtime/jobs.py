"""Shares out parts of a calculation among processes, several at a time, here or on other machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nncompress.errors import NoOutputError
from nncompress.runtime.child_process import Call, ChildDied, ChildLacksMemory, call_in_process, stop_children
from nncompress.runtime.libraries import registered, with_libraries

_TIDY_S = 10.0


@dataclass(frozen=True)
class Jobs:
    """How many parts there are, and where they are worked on."""

    count: int = 1
    executor: Executor | None = None  # any of concurrent.futures; None: processes here


ALONE = Jobs()


def in_jobs(work: Callable[..., Any], parts: Sequence[tuple[Any, ...]], jobs: Jobs) -> list[Any]:
    """work(*part, announce) for every part, in order, each in a process of its own. All has to pickle.

    When it is interrupted, or one part fails, the others are stopped. Raises NoOutputError where a process dies.
    """
    with ThreadPoolExecutor(len(parts)) if jobs.executor is None else nullcontext(jobs.executor) as pool:
        futures: list[Future[Any]] = []
        try:
            futures += [pool.submit(_in_process, work, part, registered()) for part in parts]
            return [future.result() for future in futures]
        except ChildDied as error:
            raise NoOutputError(f"a process that shared the work ended: {error}") from error
        except ChildLacksMemory as error:
            raise NoOutputError("not enough memory: give it fewer --jobs") from error
        finally:
            for future in futures:
                future.cancel()
            if not all(future.done() for future in futures):
                stop_children()


def _in_process(work: Callable[..., Any], part: tuple[Any, ...], libraries: Sequence[Path]) -> Any:
    return call_in_process(Call(with_libraries, (libraries, work, part), tidy_s=_TIDY_S))
