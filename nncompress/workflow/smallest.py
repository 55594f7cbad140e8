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
    if kept.is_another(parts[0], given, limits):
        searching = replace(searching, seconds=min(searching.seconds, searching.seconds_again))
    searching = replace(searching, interrupts=lambda: stops)
    slims = bounds_loss(limits) and not is_slim(passes)
    choices = [(way, *passes) for way in ways_to_slim(trials, parts, limits, searching)] if slims else []
    known = [kept.has_rates(trials, bear_on_rates(steps)) for steps in choices]
    choices = [steps for place, steps in enumerate(choices) if place % _STEP == 0 or known[place]]
    slimming_s = seconds_of(choices[0], parts[0], searching) if choices else 0.0
    best: _Best | None = None
    longest, is_past = 0.0, False  # the point from which gentler ones are no smaller
    for steps in (*choices, given):
        begun = time.monotonic()
        left = searching.seconds - (begun - started)
        if best is not None and (stops() or left < longest):
            break
        is_too_much = is_past or (steps is not given and _RATES * slimming_s > left)
        if is_too_much and not kept.has_rates(trials, bear_on_rates(steps)):
            continue
        search = Search(steps, parts[0], limits, replace(searching, seconds=left))
        lost = lost_by(steps, parts[0], searching) if choices else 0.0
        if best is not None and best.spends <= 1:
            expected = search.within(max(best.loss - lost, 0.0)).size_bytes
            if expected > _HOPE * best.found.mix.size_bytes:
                is_past = True
                continue
        made = _searched(search, lost, parts, limits)
        longest = max(longest, time.monotonic() - begun)
        is_past = best is not None and best.spends <= 1 and made.rank >= best.rank
        best = made if best is None or made.rank < best.rank else best
    assert best is not None, "there is a choice"
    if not stops():
        kept.end(parts[0], given, limits)
    search, mix = best.search, best.found.mix
    return Chosen(
        search.passes_of(mix), search.reasons(mix), (search.note(best.found, searched, judged),),
        proof=judged, made=search.built(mix),
    )  # fmt: skip


def _searched(search: Search, lost: float, parts: Sequence[Trials], limits: Limits) -> _Best:
    """What one search finds, which has to prove itself on the second part; `lost` is by removing channels."""
    most = most_bytes(parts[0], limits)
    best = search.smallest() if most is None or bounds_loss(limits) else search.of_size(most)
    found, spends = search.judged(best, parts[1])
    return _Best(search, found, spends, lost + found.mix.expected)
