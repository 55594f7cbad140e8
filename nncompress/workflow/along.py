"""Finds mixes along the front of size and expected loss: of all weights, and of those that stay where channels go."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nncompress.numerics.allocation import undominated
from nncompress.passes.base import Pass
from nncompress.results.limits import Limits
from nncompress.workflow.auto import Mix, Search
from nncompress.workflow.searching import Searching, check_measurable
from nncompress.workflow.slimming import ways_along
from nncompress.workflow.trials import Trials

_MOST_ERROR = 0.5  # of outputs that are hardly like the original's
_LONG = 0.4  # of the time, after which no more is found out about weights behind another way to remove channels


@dataclass(frozen=True)
class Place:
    """A mix behind passes that remove channels, if any do."""

    before: tuple[Pass, ...]
    mix: Mix
    loss: float  # squared relative error of the outputs, expected of all that is done

    @property
    def size_bytes(self) -> int:
        """Of the weights, expected."""
        return self.mix.size_bytes


def places_along(passes: Sequence[Pass], trials: Trials, searching: Searching) -> list[Place]:
    """Those that none dominates, the smallest first, from the least loss to outputs that are hardly alike. Raises
    UsageError where losses cannot be measured."""
    started, proved = time.monotonic(), trials.proved
    check_measurable(trials)
    quiet = replace(trials, proved=replace(proved, proof=replace(proved.proof, seconds=0.0, exact=False)))
    found: list[Place] = []
    ways = ways_along(quiet, searching)
    for before, lost in (((), 0.0), *(((way,), lost) for way, lost in ways)):
        if found and time.monotonic() - started > _LONG * searching.seconds:
            break
        search = Search((*before, *passes), trials, Limits(), searching)
        mixes = search.along(_MOST_ERROR)
        found += [Place(before, mix, lost + mix.expected) for mix in mixes]
    return undominated(found)


def spread(places: Sequence[Place], count: int) -> list[Place]:
    """So many of them, the largest first, in equal ratios of size."""
    if len(places) == 1:
        return list(places)
    first, last = math.log(places[-1].size_bytes), math.log(places[0].size_bytes)
    wanted = [first + (last - first) * number / (count - 1) for number in range(count)]
    return list(dict.fromkeys(_nearest(places, size) for size in wanted))


def _nearest(places: Sequence[Place], log_size: float) -> Place:
    return min(places, key=lambda place: abs(math.log(place.size_bytes) - log_size))
