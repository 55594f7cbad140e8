"""Compares models in a child process, which opens the original once: to find inputs for it, and to compare with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nncompress.feeds.feeds import Feeds
from nncompress.results.record import Run
from nncompress.runtime.child import Ask, ModelCall, limit_for, serve_in_child


@dataclass(frozen=True, eq=False)
class OpenOriginal:
    """`original.Original` in a child process; it answers again after an error."""

    path: Path
    _ask: Ask

    def accepted(self, choices: Sequence[Feeds], advice: str) -> Feeds:
        """The first of `choices` that it accepts. Raises InputError, with `advice`, where it accepts none."""
        return cast(Feeds, self._ask((tuple(choices), advice)))

    def compared(self, request: Any) -> Run:
        """`compare.measure` with it."""
        return cast(Run, self._ask(request, request.candidate))


@contextmanager
def original_in_child(
    path: Path, *, threads: int = 1, seconds: float = 0.0, timeout_s: float | None = None
) -> Iterator[OpenOriginal]:
    """Opens a model until the block ends. Raises InputError where onnxruntime refuses it. `seconds`: of timing."""
    limit_s = limit_for(seconds) if timeout_s is None else timeout_s
    with serve_in_child(ModelCall(_served, (path, threads), path, None), limit_s) as ask:
        yield OpenOriginal(path, ask)


def _served(path: Path, threads: int, announce: Any) -> Any:
    from nncompress.validate.compare import measure
    from nncompress.validate.original import Original

    original = Original(path, threads, announce)

    def answer(question: Any) -> Any:
        return original.accepted(*question) if isinstance(question, tuple) else measure(question, announce, original)

    return answer
