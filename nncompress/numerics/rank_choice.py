"""Ranks for several matrices that together may have so many parameters: components go by loss for each parameter.

A matrix of rank r has r * cost parameters and loses its tail, sum of shares[r:]; left whole it has `whole` and loses
nothing. Of these points of a matrix, those on the lower convex hull are taken in the order of their slopes, which is
best for every number of parameters that it passes; what is left in the end is spent on single components.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Choice:
    """A matrix with the ranks that it may have."""

    shares: np.ndarray  # what each component contributes, largest first, of all that is comparable
    cost: int  # parameters of one component
    most: int  # the largest rank, at least 1; most * cost < whole
    whole: int  # parameters of the matrix as it is


def ranks_within(choices: Sequence[Choice], parameters: float) -> list[int | None]:
    """A rank of 1 or more for each; None: it stays whole. Ranks are 1 where even those have more parameters."""
    ranks: list[int | None] = [1] * len(choices)
    left = parameters - sum(choice.cost for choice in choices)
    steps = [(*step, number) for number, choice in enumerate(choices) for step in _on_hull(choice)]
    for _, cost, before, after, number in sorted(steps, key=lambda step: -step[0]):
        if ranks[number] == before and cost <= left:
            ranks[number], left = after, left - cost
    singles = [
        (choice.shares[rank] / choice.cost, choice.cost, rank, number)
        for number, (choice, first) in enumerate(zip(choices, ranks, strict=True)) if first is not None
        for rank in range(first, choice.most)
    ]  # fmt: skip
    for _, cost, before, number in sorted(singles, key=lambda step: -step[0]):
        if ranks[number] == before and cost <= left:
            ranks[number], left = before + 1, left - cost
    return ranks


def _on_hull(choice: Choice) -> Iterator[tuple[float, int, int, int | None]]:
    """What is gained for each parameter, how many these are, the rank before and that after; steeper ones first."""
    ranks = np.arange(1, choice.most + 1)
    tails = np.maximum(choice.shares.sum() - np.cumsum(choice.shares)[: choice.most], 0)
    slopes = tails / (choice.whole - ranks * choice.cost)
    last = int(np.argmin(slopes)) + 1
    for rank in range(1, last):
        yield float(choice.shares[rank] / choice.cost), choice.cost, rank, rank + 1
    yield float(slopes[last - 1]), choice.whole - last * choice.cost, last, None
