"""The knapsack, against all choices that there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nncompress.numerics.allocation import cheapest_within

_STEP = 1 / 4096


@pytest.mark.parametrize("seed", range(12))
def test_nothing_within_the_budget_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    things = [int(rng.integers(1, 6)) for _ in range(5)]
    costs = [rng.random(count).tolist() for count in things]
    uses = [np.square(rng.random(count)).tolist() for count in things]
    budget = float(rng.random() * 2)

    def totals(places: tuple[int, ...]) -> tuple[float, float]:
        chosen = list(enumerate(places))
        return sum(costs[i][p] for i, p in chosen), sum(uses[i][p] for i, p in chosen)

    every = list(map(totals, itertools.product(*map(range, things))))
    cost, use = totals(tuple(cheapest_within(costs, uses, budget)))
    if min(each for _, each in every) >= budget:
        assert use == pytest.approx(min(each for _, each in every))
        return
    assert use <= budget * (1 + 1e-9)
    rounded_up = budget * (1 - len(things) * _STEP)  # what is within that is within the budget after rounding as well
    assert cost <= min((c for c, u in every if u <= rounded_up), default=np.inf) + 1e-9


def test_a_budget_for_everything_takes_the_cheapest_of_each() -> None:
    assert cheapest_within([[3.0, 1.0], [2.0, 5.0]], [[0.0, 1.0], [1.0, 0.0]], 10.0) == [1, 0]
