"""Chooses what is multiplied in integers, and which channels go, as fast as the limits on the loss allow on data that
the choice has not seen.

The best mix that mixed.py finds on calibration data is run on one half of the data; where that loses more than it
may, the choice is made again with outputs that have to be closer. On the other half the result has to prove itself;
where it does not, the choice is made again as well. That is done for what is fast and close, which leaves something to
lose, and for what is as fast as may be. As many channels go as both halves allow, of the first and of one without
integers, and the fastest of all is taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from nncompress.feeds.split import halves
from nncompress.passes.base import Pass, Stage
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.slim_channels import SlimChannels
from nncompress.progress import at
from nncompress.results.limits import Limits
from nncompress.results.searched import Measured, Ran
from nncompress.results.spent import Losses, bounds_loss
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.kept_search import KeptSearch
from nncompress.workflow.mixed import Mixing
from nncompress.workflow.mixes import BALANCED, FASTEST, loss_of
from nncompress.workflow.pipeline import Compressed
from nncompress.workflow.searching import Searching, check_searchable
from nncompress.workflow.slimming import first_that_holds, ways_to_slim
from nncompress.workflow.smallest import choose_smallest
from nncompress.workflow.trials import Trials

_LEAST_DB, _CLOSER_DB, _MOST_CLOSER_DB = 10.0, 0.5, 12.0  # of the first choice; then a bit more than was too little
_MOST_CHOICES = 6
_TIMED_S = 0.5
_MARGIN = 0.97  # what is not faster by that is not taken


def choose_fastest(passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching) -> Chosen:
    """As `mixed.choose` does; where no choice keeps the limits, the smallest that does, computed in floating point.
    Raises UsageError where nothing says what may be lost, or there are no data."""
    started = time.monotonic()
    chosen = fastest_within(passes, trials, limits, searching)
    if _Judging.of(trials, limits, 1.0, searching.kept).spent(chosen.passes) > 1:
        weights = [step for step in _plain(passes) if step.stage != Stage.CORRECTIONS]
        left = replace(searching, seconds=searching.seconds - (time.monotonic() - started))
        return choose_smallest(weights, trials, limits, left)
    return replace(chosen, made=searching.kept.built(trials, chosen.passes))


def fastest_within(
    passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching, most: float = 1.0
) -> Chosen:
    """The same, not yet made. `most`: the share of what may be lost that may be spent."""
    check_searchable(trials, limits)
    started, kept, given = time.monotonic(), searching.kept, tuple(passes)
    judging = _Judging.of(trials, limits, most, kept)
    guiding = judging.parts[0]
    if kept.is_another(guiding, given, limits):
        searching = replace(searching, seconds=min(searching.seconds, searching.seconds_again))
    stops = searching.interrupts()
    searching = replace(searching, interrupts=lambda: stops)

    def is_over() -> bool:
        return stops() or time.monotonic() - started > searching.seconds

    mixing, plain = Mixing(passes, trials, kept, is_over), _plain(passes)
    chosen = _mixed(mixing, plain, limits, judging, is_over)
    if bounds_loss(limits):
        others = [] if is_over() else [_mixed(mixing, plain, limits, judging, is_over, FASTEST)]
        left = searching.seconds - (time.monotonic() - started)
        ways = ways_to_slim(trials, judging.parts, limits, replace(searching, seconds=left))
        left = searching.seconds - (time.monotonic() - started)
        slimmed = _slimmed(chosen, plain, ways, judging, replace(searching, seconds=left))
        for other in chain((other for other in others if other.passes != plain), slimmed):
            chosen = _quicker(chosen, other, judging)
    if not stops():
        kept.end(guiding, given, limits)
    return chosen


@dataclass
class _Judging:
    """Makes models, and says what they spend on both halves of the data."""

    trials: Trials
    parts: list[Trials]
    limits: Limits
    most: float
    kept: KeptSearch
    longest: float = 0.0  # that one has taken

    @classmethod
    def of(cls, trials: Trials, limits: Limits, most: float, kept: KeptSearch) -> _Judging:
        """With nothing made yet."""
        proved = trials.proved
        assert proved.feeds is not None, "checked"
        quiet = replace(proved.proof, seconds=0.0, exact=False)
        parts = [replace(trials, proved=proved.on(part, quiet)) for part in halves(proved.feeds)]
        return cls(trials, parts, limits, most, kept)

    def made(self, passes: tuple[Pass, ...]) -> Compressed:
        """What they make."""
        return self.kept.built(self.trials, passes)

    def spent(self, passes: tuple[Pass, ...]) -> float:
        """The share of what may be spent that they do; where the first half is too much, that of the first half."""
        spent, took = 0.0, 0.0
        for part in self.parts:
            measured = self.kept.model(part, passes, partial(self._measured, part, passes))
            spent = max(spent, measured.losses.spent(self.limits) / self.most)
            took += measured.seconds
            if spent > 1:
                break
        self.longest = max(self.longest, took)
        return spent

    def _measured(self, part: Trials, passes: tuple[Pass, ...]) -> Measured:
        model = self.made(passes).model
        return Measured(part.file_bytes(model), Losses.of(part.run(model)))

    def ratio(self, passes: tuple[Pass, ...]) -> float:
        """Of its latency, new / old."""
        proved = self.parts[0].proved
        assert proved.feeds is not None, "checked"
        proof = replace(proved.proof, seconds=_TIMED_S, metrics=(), labels=None)
        trials = replace(self.trials, proved=proved.on(proved.feeds.some(slice(1)), proof))

        def measure() -> Ran:
            run = trials.run(self.made(passes).model)
            assert run.latency is not None, "it is timed"
            return Ran(loss_of(run), run.latency.ratio)

        ran = self.kept.run(trials, passes, "as it is", measure)
        assert ran is not None, "it runs"
        assert ran.ratio is not None, "it is timed"
        return ran.ratio


def _plain(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    return tuple(step for step in passes if not isinstance(step, QuantizeActivations))


def _mixed(
    mixing: Mixing, plain: tuple[Pass, ...], limits: Limits, judging: _Judging, stops: Callable[[], bool],
    of_decibel: float = BALANCED,
) -> Chosen:  # fmt: skip
    """The mix of ways to compute that is worth most of those that hold on both halves; `plain` where none does. Where
    no limit is on losses, one that is close."""
    proof = judging.parts[1].proved.feeds
    least_db = _LEAST_DB if limits.min_sqnr is None and bounds_loss(limits) else limits.min_sqnr
    for _ in range(_MOST_CHOICES):
        chosen = mixing.within(replace(limits, min_sqnr=least_db), of_decibel)
        spent = judging.spent(chosen.passes)
        if spent <= 1:
            return replace(chosen, proof=proof)
        in_integers = any(isinstance(step, QuantizeActivations) for step in chosen.passes)
        if not in_integers or stops():
            break
        closer_db = min(20 * math.log10(spent), _MOST_CLOSER_DB) + _CLOSER_DB
        least_db = closer_db + max(least_db or 0.0, mixing.sqnr_db if math.isfinite(mixing.sqnr_db) else 0.0)
    return Chosen(
        plain, notes=("in integers: nothing, for each choice that was made loses more than it may",),
        proof=proof,
    )  # fmt: skip


def _slimmed(
    first: Chosen, plain: tuple[Pass, ...], ways: Sequence[SlimChannels], judging: _Judging, searching: Searching
) -> Iterator[Chosen]:
    """The same with as few channels as hold, and what has fewer channels and no integers, which may be faster yet."""
    started = time.monotonic()
    for steps in dict.fromkeys((first.passes, plain)):
        held: list[SlimChannels] = []

        def holds(way: SlimChannels, steps: tuple[Pass, ...] = steps, held: list[SlimChannels] = held) -> bool:
            is_close = judging.spent((way, *steps)) <= 1
            if is_close:
                held[:] = [way]  # each that holds is stronger than those before
            return is_close

        left = searching.seconds - (time.monotonic() - started)
        first_that_holds(ways, holds, left, searching.interrupts(), judging.longest)
        for way in held:
            mixed = steps == first.passes
            notes = first.notes if mixed else ("in integers: nothing, for with fewer channels that is not faster",)
            yield Chosen((way, *steps), first.reasons if mixed else {}, notes, first.proof)


def _quicker(best: Chosen, other: Chosen, judging: _Judging) -> Chosen:
    """`other`, if that is faster by more than noise."""
    if other.passes == best.passes:
        return best
    at("timing the fastest")
    is_faster = judging.ratio(other.passes) < _MARGIN * judging.ratio(best.passes)
    return other if is_faster else best
