"""Ranks chosen together: within the parameters, and near the best of all choices where those can be tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics.rank_choice import Choice, ranks_within

SIZES = [(4, 6), (5, 5), (3, 9)]


def choice_of(m: int, n: int, seed: int, steepness: float) -> Choice:
    squared = np.sort(np.random.default_rng(seed).random(min(m, n)))[::-1] ** steepness
    return Choice(squared / squared.sum(), m + n, (m * n - 1) // (m + n), m * n)


def parameters(choices: list[Choice], ranks: list[int | None]) -> int:
    return sum(c.whole if r is None else r * c.cost for c, r in zip(choices, ranks, strict=True))


def loss(choices: list[Choice], ranks: list[int | None]) -> float:
    return sum(0.0 if r is None else float(c.shares[r:].sum()) for c, r in zip(choices, ranks, strict=True))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 1000), st.floats(0.1, 0.99), st.floats(0.2, 6))
def test_no_choice_with_one_step_less_is_better(seed: int, share: float, steepness: float) -> None:
    choices = [choice_of(m, n, seed + i, steepness) for i, (m, n) in enumerate(SIZES)]
    budget = share * sum(choice.whole for choice in choices)
    ranks = ranks_within(choices, budget)
    least = [1] * len(choices)
    if parameters(choices, least) > budget:  # type: ignore[arg-type]
        assert ranks == least
        return
    assert parameters(choices, ranks) <= budget
    tried = itertools.product(*([*range(1, choice.most + 1), None] for choice in choices))
    others = [list(each) for each in tried]
    least_by = [(parameters(choices, one), loss(choices, one)) for one in others]  # type: ignore[arg-type]
    found, step = loss(choices, ranks), max(choice.whole - choice.cost for choice in choices)
    assert found >= min(lost for used, lost in least_by if used <= budget) - 1e-12
    assert found <= min((lost for used, lost in least_by if used <= budget - step), default=np.inf) + 1e-12


def test_what_needs_its_parameters_most_stays_whole() -> None:
    flat = Choice(np.full(10, 0.1), 20, 4, 100)
    steep = Choice(np.array([0.9, 0.09, 0.009, 0.001, *[0.0] * 6]), 20, 4, 100)
    assert ranks_within([flat, steep], 180) == [None, 4]
    assert ranks_within([flat, steep], 140) == [None, 2]
    assert ranks_within([steep, flat], 80) == [1, 3]
    assert ranks_within([flat, steep], 200) == [None, None]


@pytest.mark.parametrize("parameters_", [0, 39])
def test_each_has_one_component_at_least(parameters_: int) -> None:
    flat = Choice(np.full(10, 0.1), 20, 4, 100)
    assert ranks_within([flat, flat], parameters_) == [1, 1]
