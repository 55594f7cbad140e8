"""Finds how many channels a model can do without: the strongest of a few ways to remove some that may lose so much."""

from __future__ import annotations

import math
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
_ERRORS = (0.3, 0.1, 0.03)  # relative, of outputs of a front


def is_slim(passes: Sequence[Pass]) -> bool:
    """True if one of them removes channels."""
    return any(isinstance(step, SlimChannels) for step in passes)


def ways_to_slim(
    trials: Trials, parts: Sequence[Trials], limits: Limits, searching: Searching
) -> tuple[SlimChannels, ...]:
    """Ways to remove channels, the strongest first, from the one that alone loses no more on any of the `parts` than it
    may: all of a task metric, else half of the square of the error, for half the error is as much as half a bit of each
    weight. None where that does not remove enough to be worth as much."""
    if not _has_groups(trials):
        return ()
    seconds = _LONG * searching.seconds
    return _from_strongest(
        parts, lambda losses: losses.spent(limits) <= (_SHARE if losses.drop is None else 1.0), seconds, searching
    )


def ways_along(trials: Trials, searching: Searching) -> list[tuple[SlimChannels, float]]:
    """Ways to remove channels for models of more and more loss, the gentlest first, each with the squared relative
    error of the outputs that it makes alone; those that remove enough to be worth it."""
    found: dict[SlimChannels, float] = {}
    started = time.monotonic()
    for most in _ERRORS if _has_groups(trials) else ():

        def allows(losses: Losses, most: float = most) -> bool:
            return losses.error <= most

        left = _LONG * searching.seconds - (time.monotonic() - started)
        ways = _from_strongest([trials], allows, left, searching)
        if not ways:
            break
        found[ways[0]] = lost_by(ways[:1], trials, searching)
    return sorted(found.items(), key=lambda each: each[1])


def lost_by(passes: Sequence[Pass], trials: Trials, searching: Searching) -> float:
    """Squared relative error of the outputs that removing channels makes alone; 0 where none of the passes does."""
    errors = (_measured(step, trials, searching).losses.error for step in passes if isinstance(step, SlimChannels))
    return sum(error**2 for error in errors if not math.isnan(error))


def seconds_of(passes: Sequence[Pass], trials: Trials, searching: Searching) -> float:
    """That it took to remove channels; 0 where none of the passes does."""
    ways = (step for step in passes if isinstance(step, SlimChannels))
    return sum(_measured(way, trials, searching).seconds for way in ways)


def _has_groups(trials: Trials) -> bool:
    model = trials.proved.model.clone()
    simplify(model)
    return bool(find_channel_groups(model))


def _from_strongest(
    parts: Sequence[Trials], allows: Callable[[Losses], bool], seconds: float, searching: Searching
) -> tuple[SlimChannels, ...]:
    """From the strongest whose losses are allowed on all parts; none where that removes too little."""
    most, stops = _WORTH * parts[0].file_bytes(parts[0].proved.model), searching.interrupts()
    is_vain = False  # what is too much removes too little

    def holds(way: SlimChannels) -> bool:
        nonlocal is_vain
        at(f"removing channels, {format_share(way.energy or 1.0)} of what they do kept")
        held = all(allows(_measured(way, part, searching).losses) for part in parts)
        is_vain = not held and _measured(way, parts[0], searching).size_bytes > most
        return held

    def is_known(way: SlimChannels) -> bool:
        known = [part for part in parts if searching.kept.has_model(part, [way])]
        return len(known) == len(parts) or not all(allows(_measured(way, part, searching).losses) for part in known)

    kept, part = searching.kept, parts[0]
    took = (_measured(way, part, searching).seconds for way in _WAYS if kept.has_model(part, [way]))
    longest = max(took, default=0.0)
    first = first_that_holds(_WAYS, holds, seconds, lambda: is_vain or stops(), longest, is_known)
    if is_vain or first == len(_WAYS):
        return ()
    return _WAYS[first:] if _measured(_WAYS[first], parts[0], searching).size_bytes <= most else ()


def first_that_holds(
    ways: Sequence[SlimChannels], holds: Callable[[SlimChannels], bool], seconds: float,
    stops: Callable[[], bool] = lambda: False, longest: float = 0.0,
    is_known: Callable[[SlimChannels], bool] = lambda way: False,
) -> int:  # fmt: skip
    """The place of the strongest that holds, where gentler ones do as well; the number of all where none does. None is
    tried that would not be done within `seconds`, as the `longest` so far takes, or when `stops` says so; of which it
    `is_known`, that takes no time."""
    strong, weak, started = -1, len(ways), time.monotonic()
    for place, way in enumerate(ways):
        if is_known(way) and weak == len(ways):
            strong, weak = (strong, place) if holds(way) else (place, weak)
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
