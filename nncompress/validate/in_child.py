"""Compares two models in a child process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from nncompress.results.record import Run
from nncompress.runtime.child import ModelCall, _limit_s, call_in_child


def measure_in_child(request: Any, *, memory_bytes: int | None = None, timeout_s: float | None = None) -> Run:
    """`compare.measure` in a child process.

    `memory_bytes` is what the models may use (None: what is free): where they do not fit together, they take turns.
    """
    if memory_bytes is not None:
        request = replace(request, free_bytes=memory_bytes)
    limit_s = _limit_s(request.seconds) if timeout_s is None else timeout_s
    return cast(Run, call_in_child(ModelCall(_measure, (request,), request.reference, request.candidate), limit_s))


def _measure(request: Any, announce: Any) -> Run:
    from nncompress.validate.compare import measure

    return measure(request, announce)
