"""Compares models in a child process, which opens the original once: to find inputs for it, and to compare with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nncompress.feeds.feeds import Feeds
from nncompress.results.record import Run
from nncompress.runtime.child import ModelCall, Serving, limit_for, serve_in_child


@dataclass(frozen=True, eq=False)
class OpenOriginal:
    """`original.Original` in a child process; it answers again after an error.

    It is still being opened when the block begins: that onnxruntime refuses it is what the first call raises.
    """

    path: Path
    _child: Serving

    def wait(self) -> None:
        """Until it is open. Raises InputError where onnxruntime refuses it."""
        self._child.wait()

    def accepted(self, choices: Sequence[Feeds], advice: str) -> Feeds:
        """The first of `choices` that it accepts. Raises InputError, with `advice`, where it accepts none."""
        return cast(Feeds, self._child.ask((tuple(choices), advice)))

    def begin(self, request: Any) -> None:
        """Has the result opened, without waiting for it; `finished` says how it compares."""
        self._child.begin(request, request.candidate)

    def finished(self, candidate: Path) -> Run:
        """What was measured for the request that was begun."""
        return cast(Run, self._child.ask(None, candidate))

    def compared(self, request: Any) -> Run:
        """`compare.measure` with it."""
        self.begin(request)
        return self.finished(request.candidate)


@contextmanager
def original_in_child(
    path: Path, *, threads: int = 1, seconds: float = 0.0, timeout_s: float | None = None
) -> Iterator[OpenOriginal]:
    """Opens a model until the block ends. `seconds`: of timing."""
    limit_s = limit_for(seconds) if timeout_s is None else timeout_s
    with serve_in_child(ModelCall(_served, (path, threads), path, None), limit_s) as child:
        yield OpenOriginal(path, child)


def _served(path: Path, threads: int, announce: Any) -> Any:
    from nncompress.validate.compare import Measuring
    from nncompress.validate.original import Original

    original = Original(path, threads, announce)
    begun: list[Measuring] = []

    def answer(question: Any) -> Any:
        if isinstance(question, tuple):
            return original.accepted(*question)
        if question is None:
            return begun.pop().finished()
        begun[:] = [Measuring(question, announce, original)]
        return None

    return answer
