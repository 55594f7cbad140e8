"""Finds how many channels a model can do without: the strongest of a few ways to remove some that the limits allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nncompress.model.channel_search import find_channel_groups
from nncompress.passes.base import Pass
from nncompress.passes.slim_channels import SlimChannels
from nncompress.progress import at
from nncompress.results.limits import Limits
from nncompress.results.searched import Measured
from nncompress.results.spent import Losses
from nncompress.results.units import format_share
from nncompress.workflow.pipeline import simplify
from nncompress.workflow.searching import Searching
from nncompress.workflow.trials import Trials

_LOST = (0.1, 0.07, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015, 0.0125, 0.01, 0.0075, 0.005, 0.0025, 0.001, 0.0005)
_WAYS = tuple(SlimChannels(energy=round(1 - lost, 4)) for lost in _LOST)  # the strongest first
_SHARE = 0.5**0.5  # of the error that may be made: half of its square
_WORTH = 0.8  # of the size
_LONG = 0.2  # of the time


def is_slim(passes: Sequence[Pass]) -> bool:
    """True if one of them removes channels."""
    return any(isinstance(step, SlimChannels) for step in passes)


def ways_to_slim(
    trials: Trials, parts: Sequence[Trials], limits: Limits, searching: Searching
) -> tuple[SlimChannels, ...]:
    """Ways to remove channels, the strongest first, from the one that alone loses no more on any of the `parts` than it
    may: all of a task metric, else half of the square of the error, for half the error is as much as half a bit of each
    weight. None where that does not remove enough to be worth as much."""
    model = trials.proved.model.clone()
    simplify(model)
    if not find_channel_groups(model):
        return ()

    def holds(way: SlimChannels) -> bool:
        at(f"removing channels, {format_share(way.energy or 1.0)} of what they do kept")
        measured = (_measured(way, part, searching).losses for part in parts)
        return all(losses.spent(limits) <= (_SHARE if losses.drop is None else 1.0) for losses in measured)

    first = first_that_holds(_WAYS, holds, _LONG * searching.seconds, searching.interrupts())
    if first == len(_WAYS):
        return ()
    size = _measured(_WAYS[first], parts[0], searching).size_bytes
    return _WAYS[first:] if size <= _WORTH * trials.file_bytes(trials.proved.model) else ()


def first_that_holds(
    ways: Sequence[SlimChannels], holds: Callable[[SlimChannels], bool], seconds: float,
    stops: Callable[[], bool] = lambda: False, longest: float = 0.0,
) -> int:  # fmt: skip
    """The place of the strongest that holds, where gentler ones do as well; the number of all where none does. None is
    tried that would not be done within `seconds`, as the `longest` so far takes, or when `stops` says so."""
    strong, weak, started = -1, len(ways), time.monotonic()
    while weak - strong > 1 and time.monotonic() - started + longest <= seconds and not stops():
        middle, begun = (strong + weak) // 2, time.monotonic()
        if holds(ways[middle]):
            weak = middle
        else:
            strong = middle
        longest = max(longest, time.monotonic() - begun)
    return weak


def _measured(way: SlimChannels, trials: Trials, searching: Searching) -> Measured:
    """What it loses, and the size of the floats that stay."""

    def measure() -> Measured:
        model = trials.compressed([way]).model
        return Measured(trials.file_bytes(model), Losses.of(trials.run(model)))

    return searching.kept.model(trials, [way], measure)
