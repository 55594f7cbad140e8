"""Chooses what is multiplied in integers, and which channels go, as fast as the limits on the loss allow on data that
the choice has not seen.

The fastest mix that mixed.py finds on calibration data is run on one half of the data; where that loses more than it
may, the choice is made again with outputs that have to be closer. On the other half the result has to prove itself;
where it does not, the choice is made again as well. Then as many channels go as both halves allow, of that mix and of
one without integers, and the faster one is taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

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
from nncompress.workflow.mixes import loss_of
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
    chosen = _mixed(passes, trials, limits, searching, judging)
    left = searching.seconds - (time.monotonic() - started)
    slims = bounds_loss(limits)
    ways = ways_to_slim(trials, judging.parts, limits, replace(searching, seconds=left)) if slims else ()
    if ways:
        left = searching.seconds - (time.monotonic() - started)
        chosen = _slimmed(chosen, _plain(passes), ways, judging, replace(searching, seconds=left))
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


def _mixed(passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching, judging: _Judging) -> Chosen:
    """The fastest mix of ways to compute that holds on both halves; where no limit is on losses, one that is close."""
    started, asked = time.monotonic(), searching.interrupts()

    def stops() -> bool:
        return asked() or time.monotonic() - started > searching.seconds

    mixing = Mixing(passes, trials, judging.kept, stops)
    proof = judging.parts[1].proved.feeds
    least_db = _LEAST_DB if limits.min_sqnr is None and bounds_loss(limits) else limits.min_sqnr
    for _ in range(_MOST_CHOICES):
        chosen = mixing.within(replace(limits, min_sqnr=least_db))
        spent = judging.spent(chosen.passes)
        if spent <= 1:
            return replace(chosen, proof=proof)
        in_integers = any(isinstance(step, QuantizeActivations) for step in chosen.passes)
        if not in_integers or stops():
            break
        closer_db = min(20 * math.log10(spent), _MOST_CLOSER_DB) + _CLOSER_DB
        least_db = closer_db + max(least_db or 0.0, mixing.sqnr_db if math.isfinite(mixing.sqnr_db) else 0.0)
    return Chosen(
        _plain(passes), notes=("in integers: nothing, for each choice that was made loses more than it may",),
        proof=proof,
    )  # fmt: skip


def _slimmed(
    chosen: Chosen, plain: tuple[Pass, ...], ways: Sequence[SlimChannels], judging: _Judging, searching: Searching
) -> Chosen:
    """The same with fewer channels, or what is faster yet without integers; as it is where nothing is."""
    started, best = time.monotonic(), chosen
    least = judging.ratio(chosen.passes)
    for steps in dict.fromkeys((chosen.passes, plain)):
        held: list[SlimChannels] = []

        def holds(way: SlimChannels, steps: tuple[Pass, ...] = steps, held: list[SlimChannels] = held) -> bool:
            is_close = judging.spent((way, *steps)) <= 1
            if is_close:
                held[:] = [way]  # each that holds is stronger than those before
            return is_close

        left = searching.seconds - (time.monotonic() - started)
        first_that_holds(ways, holds, left, searching.interrupts(), judging.longest)
        for way in held:
            at("timing what has fewer channels")
            ratio = judging.ratio((way, *steps))
            if ratio < _MARGIN * least:
                least, mixed = ratio, steps == chosen.passes
                notes = chosen.notes if mixed else ("in integers: nothing, for with fewer channels that is not faster",)
                best = Chosen((way, *steps), chosen.reasons if mixed else {}, notes, chosen.proof)
    return best
