"""One choice for each of several things, of least cost in all, within a budget of what the choices do: a knapsack.

Solved by dynamic programming over the budget in equal steps, to which what each choice uses is rounded up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

_STEPS = 4096


def cheapest_within(costs: Sequence[Sequence[float]], uses: Sequence[Sequence[float]], budget: float) -> list[int]:
    """The choice for each thing, by its number, with the least sum of `costs` of those whose `uses`, none below 0, add
    up to no more than `budget`; where there is none, those that use least.

    Exact to the rounding of uses to 1 / 4096 of the budget, which is up.
    """
    least = [min(range(len(own)), key=lambda place, own=own: own[place]) for own in uses]  # type: ignore[misc]
    if sum(own[place] for own, place in zip(uses, least, strict=True)) >= budget:
        return least
    steps = max(_STEPS, 32 * len(costs))
    best = np.zeros(steps + 1)  # least cost of the things so far by what they use at most
    taken: list[np.ndarray] = []
    for own_costs, own_uses in zip(costs, uses, strict=True):
        totals = np.full((len(own_costs), steps + 1), np.inf)
        for place, (cost, use) in enumerate(zip(own_costs, own_uses, strict=True)):
            need = int(np.ceil(use / budget * steps)) if use > 0 else 0
            if need <= steps:
                totals[place, need:] = best[: steps + 1 - need] + cost
        taken.append(totals.argmin(axis=0))
        best = totals.min(axis=0)
    if not np.isfinite(best[-1]):
        return least
    left, chosen = steps, []
    for own_uses, choices in zip(reversed(uses), reversed(taken), strict=True):
        place = int(choices[left])
        chosen.append(place)
        left -= int(np.ceil(own_uses[place] / budget * steps)) if own_uses[place] > 0 else 0
    return chosen[::-1]


class Costly(Protocol):
    """What has a size, and loses something."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def loss(self) -> float: ...


C = TypeVar("C", bound=Costly)


def undominated(choices: Iterable[C]) -> list[C]:
    """Those that lose less than all that are no larger, the smallest first."""
    kept: list[C] = []
    for choice in sorted(choices, key=lambda choice: (choice.size_bytes, choice.loss)):
        if not kept or choice.loss < kept[-1].loss:
            kept.append(choice)
    return kept
