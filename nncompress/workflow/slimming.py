"""Finds how many channels a model can do without: the strongest of a few ways to remove some that the limits allow.

Removing many is tried first, and what other passes lose counts in: of two ways, each loses at least what the gentler
one does, so that halving finds the strongest.
"""

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
from nncompress.workflow.auto import bear_on_rates
from nncompress.workflow.pipeline import simplify
from nncompress.workflow.searching import Searching
from nncompress.workflow.trials import Trials

_ENERGIES = (
    0.9,
    0.93,
    0.95,
    0.96,
    0.97,
    0.975,
    0.98,
    0.985,
    0.9875,
    0.99,
    0.9925,
    0.995,
    0.9975,
    0.999,
    0.9995,
)  # the strongest first
_SHARE = 0.5**0.5  # of the error that may be made: half of its square
_WORTH = 0.8  # of the size
_LONG = 0.2  # of the time
_STEP = 2  # from one choice to the next gentler


def can_slim(trials: Trials) -> bool:
    """True for a model with channels that could be removed."""
    model = trials.proved.model.clone()
    simplify(model)
    return bool(find_channel_groups(model))


def is_slim(passes: Sequence[Pass]) -> bool:
    """True if one of them removes channels."""
    return any(isinstance(step, SlimChannels) for step in passes)


def slimmest(
    passes: Sequence[Pass], spends: Callable[[Sequence[Pass]], float], seconds: float,
    stops: Callable[[], bool] = lambda: False,
) -> tuple[Pass, ...] | None:  # fmt: skip
    """`passes` behind the strongest SlimChannels with which they spend no more than all that may be lost; None where
    there is none. `spends`: the share of it. No trial is made that would not be done within `seconds`, or when `stops`
    says so."""
    strong, weak, longest, started = -1, len(_ENERGIES), 0.0, time.monotonic()
    while weak - strong > 1 and time.monotonic() - started + longest <= seconds and not stops():
        middle = (strong + weak) // 2
        at(f"removing channels, {format_share(_ENERGIES[middle])} of what they do kept")
        begun = time.monotonic()
        if spends(_slim(middle, passes)) <= 1:
            weak = middle
        else:
            strong = middle
        longest = max(longest, time.monotonic() - begun)
    return None if weak == len(_ENERGIES) else _slim(weak, passes)


def slimmer_choices(
    passes: Sequence[Pass], trials: Trials, parts: Sequence[Trials], limits: Limits, searching: Searching
) -> list[tuple[Pass, ...]]:
    """The same behind SlimChannels, stronger ones first, from the strongest that alone loses no more on any of the
    `parts` than it may: all of a task metric, else half of the square of the error, for half the error is as much as
    half a bit of each weight. Those that another search has looked at are among them. None where that does not remove
    enough to be worth as much."""
    if not can_slim(trials):
        return []

    def spends(slim: Sequence[Pass]) -> float:
        spent = 0.0
        for part in parts:
            losses = _measured(slim, part, searching).losses
            spent = max(spent, losses.spent(limits) / (_SHARE if losses.drop is None else 1.0))
            if spent > 1:
                break
        return spent

    slim = slimmest((), spends, _LONG * searching.seconds, searching.interrupts())
    if slim is None or _measured(slim, parts[0], searching).size_bytes > _WORTH * trials.file_bytes(
        trials.proved.model
    ):
        return []
    (strongest,) = (place for place in range(len(_ENERGIES)) if _slim(place, ()) == slim)
    choices = [_slim(place, passes) for place in range(strongest, len(_ENERGIES))]
    return [
        choice for place, choice in enumerate(choices)
        if place % _STEP == 0 or searching.kept.has_rates(trials, bear_on_rates(choice))
    ]  # fmt: skip


def _measured(passes: Sequence[Pass], trials: Trials, searching: Searching) -> Measured:
    def measure() -> Measured:
        model = trials.compressed(passes).model
        return Measured(trials.file_bytes(model), Losses.of(trials.run(model)))

    return searching.kept.model(trials, passes, measure)


def _slim(place: int, passes: Sequence[Pass]) -> tuple[Pass, ...]:
    return (SlimChannels(energy=_ENERGIES[place]), *passes)
