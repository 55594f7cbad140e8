"""Runs original and result on the same feeds and says how they compare: the proof behind every report."""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from nncompress.errors import InputError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.specs import Feed
from nncompress.progress import Announce, silent
from nncompress.results.record import FeedFacts, Latency, Loaded, Run, Timing
from nncompress.runtime import timing
from nncompress.runtime.cost import Metered
from nncompress.runtime.memory import fit_together, model_bytes
from nncompress.runtime.noise import spread
from nncompress.runtime.session import (
    OutputArray,
    Session,
    guarded,
    open_exact_session,
    open_session,
)
from nncompress.validate.original import Original
from nncompress.validate.tally import Tally, Task

Outputs = Generator[list[OutputArray], None, None]
"""What a model gives, feed by feed."""
Add = Callable[[list[OutputArray], list[OutputArray], Feed, tuple[str, ...]], None]
"""Told the outputs of original and result, the feed, and notes about it."""

_SMALL_MODEL_BYTES = 16 << 20
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


def measure(request: Request, announce: Announce = silent, original: Original | None = None) -> Run:
    """Outputs, task metrics and latency of both models. `original`: the reference, where it is open already.

    Raises InputError where the original or the data does not work, NoOutputError where the result does not.
    """
    return Measuring(request, announce, original).finished()


class Measuring:
    """`measure` in two parts: this opens the result too, where both fit in memory; `finished` does the rest."""

    def __init__(self, request: Request, announce: Announce = silent, original: Original | None = None) -> None:
        if len(request.feeds) == 0:
            raise InputError(f"{request.feeds.origin}: there are no feeds to run the models on")
        original = original or Original(request.reference, request.threads, announce)
        if not original.session.is_open or original.session.draws is not None:
            original.begin_anew(None)
        larger = max(model_bytes(request.reference), model_bytes(request.candidate))
        free = original.free_bytes if request.free_bytes is None else request.free_bytes
        measuring = _side_by_side if fit_together(larger, 2, free) else _one_after_the_other
        self._steps = measuring(request, original, announce)
        next(self._steps)

    def finished(self) -> Run:
        """Called once."""
        try:
            next(self._steps)
        except StopIteration as end:
            return cast(Run, end.value)
        raise AssertionError("there are two parts")


def _side_by_side(request: Request, original: Original, announce: Announce) -> Generator[None, None, Run]:
    first = next(iter(request.feeds))
    draws = _draws(request, original, first, announce)
    candidate = _opened(request, draws, announce)
    yield
    tally = _tally(original.session, candidate.session, request)

    def live() -> Outputs:
        if draws is None:
            yield from original.outputs(request.feeds)
            return
        own = original.session.again()  # whose draws begin anew
        for number, feed in enumerate(request.feeds):
            announce("original", "run", number, len(request.feeds))
            yield own.run(feed)

    _compare(request, live, candidate.session, _noting_cost(candidate, tally.add), announce)
    loaded = (original.metered.ran(), candidate.ran())
    latency = _latency(original, candidate, first, request, announce)
    generators = candidate.session.generators
    del candidate
    _compare_exact(request, live, tally, draws, announce)
    _compare_itself(request, live, tally, original.session, generators, announce)
    return _run(request, tally, latency, loaded, draws, together=True)


def _one_after_the_other(request: Request, original: Original, announce: Announce) -> Generator[None, None, Run]:
    """As above with one session at a time: the original's outputs wait in a temporary file."""
    yield
    with tempfile.TemporaryFile(prefix="nncompress-") as spill:
        first = next(iter(request.feeds))
        draws = _draws(request, original, first, announce)
        for number, feed in enumerate(request.feeds):
            announce("original", "run", number, len(request.feeds))
            pickle.dump(original.session.run(feed), spill, protocol=5)
        reference_timing = _timed_alone(original.session, first, request, announce)
        original.close()

        def spilled() -> Outputs:
            spill.seek(0)
            for _ in range(len(request.feeds)):
                yield pickle.load(spill)

        candidate = _opened(request, draws, announce)
        tally = _tally(original.session, candidate.session, request)
        _compare(request, spilled, candidate.session, _noting_cost(candidate, tally.add), announce)
        loaded = (original.metered.ran(), candidate.ran())
        candidate_timing = _timed_alone(candidate.session, first, request, announce)
        generators = candidate.session.generators
        del candidate
        _compare_exact(request, spilled, tally, draws, announce)
        _compare_itself(request, spilled, tally, original.session, generators, announce)
    latency = None
    if reference_timing is not None and candidate_timing is not None:
        latency = timing.one_after_the_other(reference_timing, candidate_timing, request.threads)
        latency = _with_noise(latency, original)
    return _run(request, tally, latency, loaded, draws, together=False)


def _draws(request: Request, original: Original, feed: Feed, announce: Announce) -> int | None:
    """The draws of both models where the original draws random numbers, which then begins anew."""
    announce("original", "run")
    outputs = original.session.run(feed)
    original.metered.ran()
    if not request.random and pickle.dumps(outputs) == pickle.dumps(original.session.run(feed)):
        return None
    original.begin_anew(_DRAWS)
    return _DRAWS


def _opened(request: Request, draws: int | None, announce: Announce) -> Metered:
    """The result."""
    announce("result", "load")
    return Metered(lambda: open_session(request.candidate, "result", threads=request.threads, draws=draws))


def _noting_cost(metered: Metered, add: Add) -> Add:
    """`add`, which is called when the model has run."""

    def noting(
        reference: list[OutputArray], candidate: list[OutputArray], feed: Feed, notes: tuple[str, ...] = ()
    ) -> None:
        metered.ran()
        add(reference, candidate, feed, notes)

    return noting


def _compare(
    request: Request,
    reference_outputs: Callable[[], Outputs],
    candidate: Session,
    add: Add,
    announce: Announce,
) -> None:
    with closing(reference_outputs()) as outputs:
        for number, ((feed, notes), reference) in enumerate(zip(request.feeds.read(), outputs, strict=True)):
            announce("result", "run", number, len(request.feeds))
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


def _latency(
    original: Original, candidate: Metered, feed: Feed, request: Request, announce: Announce
) -> Latency | None:
    if request.seconds <= 0:
        return None
    announce("result", "time")
    sessions = [(original.session, candidate.session)]
    if _several_pay(original.metered, candidate, feed, request):
        sessions += [_again(*sessions[0], position) for position in range(1, timing.PAIRS)]
    inferences = [(one.binder(feed), other.binder(feed)) for one, other in sessions]
    latency = guarded(
        lambda: timing.interleaved(inferences, request.seconds, request.threads), "time", request.candidate, "result"
    )
    return _with_noise(latency, original)


def _several_pay(reference: Metered, candidate: Metered, feed: Feed, request: Request) -> bool:
    """Whether to open more of the same (see timing.py for why): where that takes little time and memory."""
    start = time.perf_counter()
    reference.session.run(feed)
    if time.perf_counter() - start >= _QUICK_CALL_S:
        return False
    if max(model_bytes(request.reference), model_bytes(request.candidate)) > _SMALL_MODEL_BYTES:
        return False
    opening_s = (reference.ran().load_ms + candidate.ran().load_ms) / 1000
    return opening_s <= request.seconds / (2 * timing.PAIRS)


def _again(reference: Session, candidate: Session, position: int) -> tuple[Session, Session]:
    """Both opened once more; which comes first alternates."""
    if position % 2:
        later = candidate.again()
        return reference.again(), later
    return reference.again(), candidate.again()


def _with_noise(latency: Latency, original: Original) -> Latency:
    doubts = spread({"the original": latency.reference, "the result": latency.candidate})
    return replace(latency, noise=(*original.noise, *doubts))


def _timed_alone(session: Session, feed: Feed, request: Request, announce: Announce) -> Timing | None:
    if request.seconds <= 0:
        return None
    announce(session.part, "time")
    inference = session.binder(feed)
    return guarded(lambda: timing.alone(inference, request.seconds / 2), "time", session.path, session.part)


def _run(
    request: Request, tally: Tally, latency: Latency | None, loaded: tuple[Loaded, Loaded], draws: int | None, *,
    together: bool,
) -> Run:  # fmt: skip
    feeds = request.feeds
    notes = [*feeds.notes, *tally.notes]
    if draws is not None:
        notes.append(_DREW)
    if not together:
        notes.append("the models ran one after the other: both do not fit in the free memory")
    facts = FeedFacts(feeds.origin, len(feeds), feeds.seed, feeds.labels is not None)
    return Run(tally.outputs(), tally.metrics(), latency, facts, not together, tuple(dict.fromkeys(notes)), loaded)
