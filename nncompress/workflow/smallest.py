"""Chooses how each weight is stored, and which channels go: the smallest model that loses no more than it may.

Where many channels can go, a search among mixes (see auto.py) is made behind the strongest way to remove some, then
behind gentler ones as long as results become smaller; else behind none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nncompress.feeds.split import halves
from nncompress.passes.base import Pass
from nncompress.passes.slim_channels import SlimChannels
from nncompress.results.limits import Limits
from nncompress.results.spent import bounds_loss
from nncompress.workflow.auto import Found, Search, bear_on_rates
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.searching import Searching, check_searchable, most_bytes
from nncompress.workflow.slimming import is_slim, lost_by, seconds_of, ways_to_slim
from nncompress.workflow.trials import Trials

_STEP = 2  # from one way to remove channels to the next gentler; those that another search has looked at are tried, too
_RATES = 3  # times as long as channels take to be removed, for what weights may become behind that to be measured
_HOPE = 1.1  # times the size of the best: what is expected to be larger, for as much loss, is not tried


@dataclass(frozen=True)
class _Best:
    """Of one search: what it found, and how much of the limits that spends on the other half of the data."""

    search: Search
    found: Found
    spends: float
    loss: float  # squared relative error of the outputs, expected of all that is done

    @property
    def rank(self) -> tuple[float, int]:
        """Least for the smallest of those that hold; where none does, for the one that spends least."""
        return max(self.spends, 1.0), self.found.size_bytes


def choose_smallest(passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching) -> Chosen:
    """Passes with a rule for each weight. `passes`: one QuantizeWeights, and others that stay as they are.

    Raises UsageError where nothing says what may be lost, or there are no data.
    """
    check_searchable(trials, limits)
    started, proved, stops = time.monotonic(), trials.proved, searching.interrupts()
    assert proved.feeds is not None, "checked"
    searched, judged = halves(proved.feeds)
    quiet = replace(proved.proof, seconds=0.0, exact=False)
    parts = [replace(trials, proved=proved.on(part, quiet)) for part in (searched, judged)]
    kept, given = searching.kept, tuple(passes)
    is_another = kept.is_another(parts[0], given, limits)
    if is_another:
        searching = replace(searching, seconds=min(searching.seconds, searching.seconds_again))
    searching = replace(searching, interrupts=lambda: stops)
    slims = bounds_loss(limits) and not is_slim(passes)
    ways = [(way, *passes) for way in ways_to_slim(trials, parts, limits, searching)] if slims else []
    finding = _Finding(parts, limits, searching, started, given)
    choices = [steps for place, steps in enumerate(ways) if place % _STEP == 0 or finding.is_known(steps)]
    choices.append(given)
    first = [steps for steps in choices if is_another and finding.is_known(steps)]
    finding.look_behind(first)  # what is found is at least as good as what is known
    finding.look_behind([steps for steps in choices if steps not in first])
    best = finding.best
    assert best is not None, "there is a choice"
    if not stops():
        kept.end(parts[0], given, limits)
    search, mix = best.search, best.found.mix
    return Chosen(
        search.passes_of(mix), search.reasons(mix), (search.note(best.found, searched, judged),),
        proof=judged, made=search.built(mix),
    )  # fmt: skip


class _Finding:
    """What was found behind ways to remove channels, so far."""

    def __init__(
        self, parts: Sequence[Trials], limits: Limits, searching: Searching, started: float, given: tuple[Pass, ...]
    ) -> None:
        """`given`: the passes behind none of them."""
        self._parts, self._limits, self._searching, self._started = parts, limits, searching, started
        self._given = given
        self._longest = 0.0  # that a search behind one of them took
        self.best: _Best | None = None

    def is_known(self, steps: Sequence[Pass]) -> bool:
        """True where it was measured what weights may become behind these."""
        return self._searching.kept.has_rates(self._parts[0], bear_on_rates(steps))

    def look_behind(self, choices: Sequence[Sequence[Pass]]) -> None:
        """Behind each, the strongest first, as long as there is time and results become smaller: what is known is
        looked at also where they do not."""
        stops, guiding = self._searching.interrupts(), self._parts[0]
        strongest = [steps for steps in choices[:1] if steps != self._given]
        slimming_s = sum(seconds_of(steps, guiding, self._searching) for steps in strongest)
        is_past = False  # the point from which gentler ones are no smaller
        for steps in choices:
            begun, best = time.monotonic(), self.best
            left = self._searching.seconds - (begun - self._started)
            if best is not None and (stops() or left < self._longest):
                break
            is_too_much = is_past or (steps != self._given and _RATES * slimming_s > left)
            if is_too_much and not self.is_known(steps):
                continue
            search = Search(steps, guiding, self._limits, replace(self._searching, seconds=left))
            lost = 0.0 if steps == self._given else lost_by(steps, guiding, self._searching)
            is_gentler = best is not None and best.spends <= 1 and _energy(steps) > _energy(best.search.steps)
            if best is not None and is_gentler:
                expected = search.within(max(best.loss - lost, 0.0)).size_bytes
                if expected > _HOPE * best.found.mix.size_bytes:
                    is_past = True
                    continue
            made = _searched(search, lost, self._parts, self._limits)
            self._longest = max(self._longest, time.monotonic() - begun)
            is_past = best is not None and is_gentler and made.rank >= best.rank
            self.best = made if best is None or made.rank < best.rank else best


def _energy(steps: Sequence[Pass]) -> float:
    """The share that removing channels leaves."""
    return min((step.energy or 1.0 for step in steps if isinstance(step, SlimChannels)), default=1.0)


def _searched(search: Search, lost: float, parts: Sequence[Trials], limits: Limits) -> _Best:
    """What one search finds, which has to prove itself on the second part; `lost` is by removing channels."""
    most = most_bytes(parts[0], limits)
    best = search.smallest() if most is None or bounds_loss(limits) else search.of_size(most)
    found, spends = search.judged(best, parts[1])
    return _Best(search, found, spends, lost + found.mix.expected)
