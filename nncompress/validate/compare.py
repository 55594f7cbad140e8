"""Runs original and result on the same feeds and says how they compare: the proof behind every report."""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nncompress.errors import InputError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.specs import Feed
from nncompress.results.record import FeedFacts, Latency, Run, Timing
from nncompress.runtime import timing
from nncompress.runtime.memory import fit_together, free_memory_bytes, model_bytes
from nncompress.runtime.session import (
    Announce,
    OutputArray,
    Session,
    guarded,
    open_exact_session,
    open_session,
    silent,
)
from nncompress.validate.tally import Tally, Task

Outputs = Generator[list[OutputArray], None, None]
"""What a model gives, feed by feed."""

_SMALL_MODEL_BYTES = 32 << 20
_DRAWS = 1
_DREW = "the original draws random numbers: both models were run with the same seeds, as often as one another"
_QUICK_CALL_S = 0.005  # slower calls do not feel where buffers lie in memory


@dataclass(frozen=True, eq=False)
class Request:
    """What to compare, on what, and how. Pickles."""

    reference: Path
    candidate: Path
    feeds: Feeds  # with labels: task metrics are measured
    threads: int = 1
    seconds: float = 1.0  # spent on latency; 0: not measured
    exact: bool = False  # also run the result without integer arithmetic behind DequantizeLinear
    metrics: tuple[str, ...] = ()  # (): top-1 and top-5 where there are labels
    metric_output: str | None = None  # output that they are about; None: the first that suits
    random: bool = False  # the original draws random numbers
    free_bytes: int | None = None  # memory that may be used; None: what the system has free


def measure(request: Request, announce: Announce = silent) -> Run:
    """Outputs, task metrics and latency of both models.

    Raises InputError where the original or the data does not work, NoOutputError where the result does not.
    """
    if len(request.feeds) == 0:
        raise InputError(f"{request.feeds.origin}: there are no feeds to run the models on")
    larger = max(model_bytes(request.reference), model_bytes(request.candidate))
    free = free_memory_bytes() if request.free_bytes is None else request.free_bytes
    if fit_together(larger, 2, free):
        return _side_by_side(request, announce)
    return _one_after_the_other(request, announce)


def _side_by_side(request: Request, announce: Announce) -> Run:
    reference, draws = _original(request, announce)
    announce("result", "load")
    candidate = open_session(request.candidate, "result", threads=request.threads, draws=draws)
    tally = _tally(reference, candidate, request)

    def live() -> Outputs:
        own = reference if draws is None else reference.again()  # whose draws begin anew
        for feed in request.feeds:
            announce("original", "run")
            yield own.run(feed)

    _compare(request, live, candidate, tally.add, announce)
    latency = _latency(reference, candidate, next(iter(request.feeds)), request, announce)
    generators = candidate.generators
    del candidate
    _compare_exact(request, live, tally, draws, announce)
    _compare_itself(request, live, tally, reference, generators, announce)
    return _run(request, tally, latency, draws, together=True)


def _one_after_the_other(request: Request, announce: Announce) -> Run:
    """As above with one session at a time: the original's outputs wait in a temporary file."""
    with tempfile.TemporaryFile(prefix="nncompress-") as spill:
        reference, draws = _original(request, announce)
        first = next(iter(request.feeds))
        for feed in request.feeds:
            announce("original", "run")
            pickle.dump(reference.run(feed), spill, protocol=5)
        reference_timing = _timed_alone(reference, first, request, announce)
        reference = reference.closed()

        def spilled() -> Outputs:
            spill.seek(0)
            for _ in range(len(request.feeds)):
                yield pickle.load(spill)

        announce("result", "load")
        candidate = open_session(request.candidate, "result", threads=request.threads, draws=draws)
        tally = _tally(reference, candidate, request)
        _compare(request, spilled, candidate, tally.add, announce)
        candidate_timing = _timed_alone(candidate, first, request, announce)
        candidate = candidate.closed()
        _compare_exact(request, spilled, tally, draws, announce)
        _compare_itself(request, spilled, tally, reference, candidate.generators, announce)
    latency = None
    if reference_timing is not None and candidate_timing is not None:
        latency = timing.one_after_the_other(reference_timing, candidate_timing, request.threads)
    return _run(request, tally, latency, draws, together=False)


def _original(request: Request, announce: Announce) -> tuple[Session, int | None]:
    """The original, not run since it was opened where it draws random numbers, and then the draws of both models."""
    if not request.random:
        announce("original", "load")
        reference = open_session(request.reference, "original", threads=request.threads)
        if not _varies(reference, next(iter(request.feeds)), announce):
            return reference, None
    announce("original", "load")
    return open_session(request.reference, "original", threads=request.threads, draws=_DRAWS), _DRAWS


def _compare(
    request: Request,
    reference_outputs: Callable[[], Outputs],
    candidate: Session,
    add: Callable[[list[OutputArray], list[OutputArray], Feed, tuple[str, ...]], None],
    announce: Announce,
) -> None:
    with closing(reference_outputs()) as outputs:
        for (feed, notes), reference in zip(request.feeds.read(), outputs, strict=True):
            announce("result", "run")
            add(reference, candidate.run(feed), feed, notes)


def _compare_exact(
    request: Request, reference_outputs: Callable[[], Outputs], tally: Tally, draws: int | None, announce: Announce
) -> None:
    if not request.exact:
        return
    announce("result", "load")
    exact = open_exact_session(request.candidate, "result", threads=request.threads, draws=draws)
    _compare(request, reference_outputs, exact, tally.add_exact, announce)


def _compare_itself(
    request: Request, reference_outputs: Callable[[], Outputs], tally: Tally, reference: Session,
    generators: frozenset[str], announce: Announce,
) -> None:  # fmt: skip
    """Where random numbers are drawn, the original once more: with the same ones if the result drew the same."""
    if reference.draws is None:
        return
    announce("original", "load")
    twin = reference.again(reference.draws + (generators != reference.generators))
    _compare(request, reference_outputs, twin, tally.add_itself, announce)


def _tally(reference: Session, candidate: Session, request: Request) -> Tally:
    task = Task(request.metrics, request.feeds.labels, request.metric_output)
    return Tally(reference, candidate, task, request.feeds.names)


def _varies(reference: Session, feed: Feed, announce: Announce) -> bool:
    """Whether the original itself gives other outputs when it is run again on the same input."""
    announce("original", "run")
    return pickle.dumps(reference.run(feed)) != pickle.dumps(reference.run(feed))


def _latency(
    reference: Session, candidate: Session, feed: Feed, request: Request, announce: Announce
) -> Latency | None:
    if request.seconds <= 0:
        return None
    announce("result", "time")
    start = time.perf_counter()
    reference.run(feed)
    quick = time.perf_counter() - start < _QUICK_CALL_S
    sessions = _several(reference, candidate, request.seconds) if quick else [(reference, candidate)]
    inferences = [(original.binder(feed), result.binder(feed)) for original, result in sessions]
    return guarded(
        lambda: timing.interleaved(inferences, request.seconds, request.threads), "time", request.candidate, "result"
    )


def _several(reference: Session, candidate: Session, seconds: float) -> list[tuple[Session, Session]]:
    """The two and more of the same, where opening them takes little time and memory (see timing.py for why)."""
    sessions = [(reference, candidate)]
    if max(model_bytes(reference.path), model_bytes(candidate.path)) > _SMALL_MODEL_BYTES:
        return sessions
    start = time.perf_counter()
    other = candidate.again()
    sessions.append((reference.again(), other))  # the order of opening alternates
    if time.perf_counter() - start > seconds / (2 * timing.PAIRS):
        return sessions[:1]
    for position in range(2, timing.PAIRS):
        if position % 2:
            other = candidate.again()
            sessions.append((reference.again(), other))
        else:
            sessions.append((reference.again(), candidate.again()))
    return sessions


def _timed_alone(session: Session, feed: Feed, request: Request, announce: Announce) -> Timing | None:
    if request.seconds <= 0:
        return None
    announce(session.part, "time")
    inference = session.binder(feed)
    return guarded(lambda: timing.alone(inference, request.seconds / 2), "time", session.path, session.part)


def _run(request: Request, tally: Tally, latency: Latency | None, draws: int | None, *, together: bool) -> Run:
    feeds = request.feeds
    notes = [*feeds.notes, *tally.notes]
    if draws is not None:
        notes.append(_DREW)
    if not together:
        notes.append("the models ran one after the other: both do not fit in the free memory")
    facts = FeedFacts(feeds.origin, len(feeds), feeds.seed, feeds.labels is not None)
    return Run(tally.outputs(), tally.metrics(), latency, facts, not together, tuple(dict.fromkeys(notes)))
