"""Ranks for several matrices that together may have so many parameters: components go by loss for each parameter.

A matrix of rank r has r * cost parameters and loses its tail, sum of shares[r:]; left whole it has `whole` and loses
nothing. Of these points of a matrix, those on the lower convex hull are taken in the order of their slopes, which is
best for every number of parameters that is passed; a matrix that cannot be whole any more goes on by single components.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Choice:
    """A matrix with the ranks that it may have."""

    shares: np.ndarray  # what each component contributes, largest first, of all that is comparable
    cost: int  # parameters of one component
    most: int  # the largest rank, at least 1; most * cost < whole
    whole: int  # parameters of the matrix as it is

    def jump(self) -> tuple[int, float]:
        """The rank from which on only all of it is worth more, and what that gains for each parameter."""
        ranks = np.arange(1, self.most + 1)
        tails = np.maximum(self.shares.sum() - np.cumsum(self.shares)[: self.most], 0)
        slopes = tails / (self.whole - ranks * self.cost)
        last = int(np.argmin(slopes))
        return last + 1, float(slopes[last])


def ranks_within(choices: Sequence[Choice], parameters: float) -> list[int | None]:
    """A rank of 1 or more for each; None: it stays whole. Ranks are 1 where even those have more parameters."""
    ranks: list[int | None] = [1] * len(choices)
    left = parameters - sum(choice.cost for choice in choices)
    jumps = [choice.jump() for choice in choices]
    refused: set[int] = set()
    queue: list[tuple[float, int]] = []

    def queue_next(number: int) -> None:
        """What matrix `number` gains next for each parameter."""
        choice, rank = choices[number], ranks[number] or 0
        if number not in refused and rank == jumps[number][0]:
            heapq.heappush(queue, (-jumps[number][1], number))
        elif rank < choice.most:
            heapq.heappush(queue, (-float(choice.shares[rank]) / choice.cost, number))

    for number in range(len(choices)):
        queue_next(number)
    while queue:
        number = heapq.heappop(queue)[1]
        choice, rank = choices[number], ranks[number] or 0
        jumps_now = number not in refused and rank == jumps[number][0]
        cost = choice.whole - rank * choice.cost if jumps_now else choice.cost
        if cost <= left:
            left -= cost
            ranks[number] = None if jumps_now else rank + 1
        elif jumps_now:
            refused.add(number)
        else:
            continue
        if ranks[number] is not None:
            queue_next(number)
    return ranks
