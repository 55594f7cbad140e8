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

from nncompress.feeds.split import halves
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.slim_channels import SlimChannels
from nncompress.progress import at
from nncompress.results.limits import Limits
from nncompress.results.spent import Losses
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.mixed import Mixing
from nncompress.workflow.pipeline import Compressed
from nncompress.workflow.searching import Searching, check_searchable
from nncompress.workflow.slimming import first_that_holds, ways_to_slim
from nncompress.workflow.trials import Trials

_LEAST_DB, _CLOSER_DB, _MOST_CLOSER_DB = 10.0, 0.5, 12.0  # of the first choice; then a bit more than was too little
_MOST_CHOICES = 6
_TIMED_S = 0.5
_MARGIN = 0.97  # what is not faster by that is not taken


def choose_fastest(
    passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching, most: float = 1.0
) -> Chosen:
    """As `mixed.choose` does; where no choice keeps the limits, weights alone are rounded. `most`: the share of what
    may be lost that may be spent. Raises UsageError where nothing says what may be lost, or there are no data."""
    check_searchable(trials, limits)
    started, judging = time.monotonic(), _Judging.of(trials, limits, most)
    chosen = _mixed(passes, trials, limits, searching.seconds, judging)
    left, stops = searching.seconds - (time.monotonic() - started), searching.interrupts()  # there is a choice by now
    ways = ways_to_slim(trials, judging.parts, limits, replace(searching, seconds=left, interrupts=lambda: stops))
    if not ways:
        return chosen
    left = searching.seconds - (time.monotonic() - started)
    return _slimmed(chosen, _plain(passes), ways, judging, replace(searching, seconds=left, interrupts=lambda: stops))


@dataclass
class _Judging:
    """Makes models, and says what they spend on both halves of the data."""

    trials: Trials
    parts: list[Trials]
    limits: Limits
    most: float
    longest: float = 0.0  # that one has taken

    @classmethod
    def of(cls, trials: Trials, limits: Limits, most: float) -> _Judging:
        """With nothing made yet."""
        proved = trials.proved
        assert proved.feeds is not None, "checked"
        quiet = replace(proved.proof, seconds=0.0, exact=False)
        parts = [replace(trials, proved=proved.on(part, quiet)) for part in halves(proved.feeds)]
        return cls(trials, parts, limits, most)

    def made(self, passes: Sequence[Pass]) -> tuple[Compressed, float]:
        """What they make, and the share of what may be spent that it does; where the first half is too much, that of
        the first half."""
        started, spent = time.monotonic(), 0.0
        made = self.trials.compressed(passes)
        for part in self.parts:
            spent = max(spent, Losses.of(part.run(made.model)).spent(self.limits) / self.most)
            if spent > 1:
                break
        self.longest = max(self.longest, time.monotonic() - started)
        return made, spent

    def ratio(self, made: Compressed) -> float:
        """Of its latency, new / old."""
        proved = self.parts[0].proved
        assert proved.feeds is not None, "checked"
        timed = proved.on(proved.feeds.some(slice(1)), replace(proved.proof, seconds=_TIMED_S, metrics=(), labels=None))
        run = replace(self.trials, proved=timed).run(made.model)
        assert run.latency is not None, "it is timed"
        return run.latency.ratio


def _plain(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    return tuple(step for step in passes if not isinstance(step, QuantizeActivations))


def _mixed(passes: Sequence[Pass], trials: Trials, limits: Limits, seconds: float, judging: _Judging) -> Chosen:
    """The fastest mix of ways to compute that holds on both halves."""
    started, mixing = time.monotonic(), Mixing(passes, trials)
    proof = judging.parts[1].proved.feeds
    least_db = limits.min_sqnr or _LEAST_DB
    for _ in range(_MOST_CHOICES):
        chosen = mixing.within(replace(limits, min_sqnr=least_db))
        made, spent = judging.made(chosen.passes)
        if spent <= 1:
            return replace(chosen, proof=proof, made=made)
        in_integers = any(isinstance(step, QuantizeActivations) for step in chosen.passes)
        if not in_integers or time.monotonic() - started > seconds:
            break
        closer_db = min(20 * math.log10(spent), _MOST_CLOSER_DB) + _CLOSER_DB
        least_db = closer_db + max(least_db, mixing.sqnr_db if math.isfinite(mixing.sqnr_db) else 0.0)
    return Chosen(
        _plain(passes), notes=("in integers: nothing, for each choice that was made loses more than it may",),
        proof=proof,
    )  # fmt: skip


def _slimmed(
    chosen: Chosen, plain: Sequence[Pass], ways: Sequence[SlimChannels], judging: _Judging, searching: Searching
) -> Chosen:
    """The same with fewer channels, or what is faster yet without integers; as it is where nothing is."""
    started, best = time.monotonic(), chosen
    least = judging.ratio(chosen.made or judging.trials.compressed(chosen.passes))
    for steps in dict.fromkeys((tuple(chosen.passes), tuple(plain))):
        held: list[tuple[SlimChannels, Compressed]] = []

        def holds(
            way: SlimChannels, steps: Sequence[Pass] = steps, held: list[tuple[SlimChannels, Compressed]] = held
        ) -> bool:
            made, spent = judging.made((way, *steps))
            if spent <= 1:
                held[:] = [(way, made)]  # each that holds is stronger than those before
            return spent <= 1

        left = searching.seconds - (time.monotonic() - started)
        first_that_holds(ways, holds, left, searching.interrupts(), judging.longest)
        for way, made in held:
            at("timing what has fewer channels")
            ratio = judging.ratio(made)
            if ratio < _MARGIN * least:
                least, mixed = ratio, steps == tuple(chosen.passes)
                notes = chosen.notes if mixed else ("in integers: nothing, for with fewer channels that is not faster",)
                best = Chosen((way, *steps), chosen.reasons if mixed else {}, notes, chosen.proof, made)
    return best
