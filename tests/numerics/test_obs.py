"""Pruning by what is computed, against the best of all masks, and against normal equations for a mask."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics import obs
from nncompress.numerics.magnitude import of_every
from nncompress.numerics.second_order import Quadratic
from tests.models import noise
from tests.numerics.test_second_order import gram_of, related


def quadratic_of(matrix: np.ndarray, seed: int, rows: int = 60) -> Quadratic:
    return Quadratic.of(matrix, gram_of(related(rows, matrix.shape[2], seed=seed)))


def best_for(quadratic: Quadratic, stays: np.ndarray) -> np.ndarray:
    """By the normal equations of each row."""
    z = np.zeros(stays.shape)
    for g, o in np.ndindex(stays.shape[:2]):
        own = np.flatnonzero(stays[g, o])
        z[g, o, own] = np.linalg.solve(quadratic.h[g][np.ix_(own, own)], quadratic.r[g, o, own])
    return z


def loss(quadratic: Quadratic, z: np.ndarray) -> float:
    """Above the least that any values leave."""
    return quadratic.value(z) - quadratic.value(best_for(quadratic, np.ones(z.shape, bool)))


def magnitude_of(matrix: np.ndarray, mask: obs.Mask) -> np.ndarray:
    return np.where(mask(np.abs(matrix), 1.0), matrix, 0.0)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([1, 2]), st.sampled_from([0.2, 0.5, 0.9]))
def test_what_stays_is_fitted_as_normal_equations_do(seed: int, groups: int, share: float) -> None:
    matrix = noise(groups, 3, 8, seed=seed).astype(np.float64)
    rows = related(60, 8 * groups, seed=seed).reshape(60, groups, 8).transpose(1, 0, 2)
    h = rows.transpose(0, 2, 1).astype(np.float64) @ rows / 60 + 0.1 * np.eye(8)
    quadratic = Quadratic(h, matrix @ h)
    stays = obs.smallest_of_all(round(share * matrix.size))(np.abs(matrix), 1.0)
    start, exact = np.where(stays, matrix, 0.0), best_for(quadratic, stays)
    made = obs.fitted(quadratic, start, stays)
    assert not made[~stays].any()
    gained = quadratic.value(start) - quadratic.value(exact)
    assert quadratic.value(start) - quadratic.value(made) >= 0.99 * gained


def test_it_finds_masks_near_the_best_of_all() -> None:
    """All 20 that keep 3 of 6, each with its best values, for 40 matrices of one row."""
    losses: dict[str, list[float]] = {"best": [], "made": [], "wanda": [], "magnitude": []}
    for seed in range(40):
        matrix = noise(1, 1, 6, seed=seed).astype(np.float64)
        quadratic, mask = quadratic_of(matrix, seed + 100), obs.smallest_of_all(3)
        masks = (np.isin(np.arange(6), own)[None, None] for own in itertools.combinations(range(6), 3))
        losses["best"].append(min(loss(quadratic, best_for(quadratic, stays)) for stays in masks))
        losses["made"].append(loss(quadratic, obs.pruned(quadratic, matrix, mask)))
        losses["wanda"].append(loss(quadratic, obs.scored(matrix, obs.by_input(quadratic), mask)))
        losses["magnitude"].append(loss(quadratic, magnitude_of(matrix, mask)))
    assert all(made >= best * (1 - 1e-6) for made, best in zip(losses["made"], losses["best"], strict=True))
    sums = {name: sum(each) for name, each in losses.items()}
    assert sums["made"] < 1.5 * sums["best"]
    assert min(sums["wanda"], sums["magnitude"]) > 2 * sums["made"]


MASKS: dict[str, Callable[[], obs.Mask]] = {
    "of all": lambda: obs.smallest_of_all(48),
    "of each output": lambda: obs.smallest_of_each_output(48),
    "2 of 4": lambda: obs.smallest_of_runs(np.arange(12)[None], 2, 4),
    "2 of 4, three taps": lambda: obs.smallest_of_runs(np.arange(12).reshape(4, 3).T, 2, 4),
}


@pytest.mark.parametrize("name", MASKS)
def test_zeros_are_as_many_as_asked_for_and_cost_less_than_by_magnitude(name: str) -> None:
    matrix, mask = noise(2, 4, 12, seed=3).astype(np.float64), MASKS[name]()
    rows = related(300, 24, seed=5).reshape(300, 2, 12).transpose(1, 0, 2).astype(np.float64)
    h = rows.transpose(0, 2, 1) @ rows / 300 + 0.1 * np.eye(12)
    quadratic = Quadratic(h, matrix @ h)
    made = obs.pruned(quadratic, matrix, mask)
    assert np.count_nonzero(made) == 48
    assert loss(quadratic, made) < 0.8 * loss(quadratic, magnitude_of(matrix, mask))
    if name == "of each output":
        assert (np.count_nonzero(made, axis=2) == 6).all()
    if name == "2 of 4":
        assert (np.count_nonzero(made.reshape(2, 4, 3, 4), axis=3) == 2).all()
    if name == "2 of 4, three taps":  # of the channels, which lie three apart
        assert (np.count_nonzero(made.reshape(2, 4, 4, 3), axis=2) == 2).all()


def test_zeros_come_in_steps() -> None:
    scores = noise(1, 4, 12, seed=1) ** 2
    for make in MASKS.values():
        mask = make()
        counts = [np.count_nonzero(~mask(scores, share)) for share in (0.0, 0.5, 1.0)]
        assert counts == [0, counts[2] // 2, counts[2]]


def test_of_a_run_the_largest_stay_and_a_short_one_has_as_many() -> None:
    stays = of_every(np.array([[3.0, 1, 2, 1, 5, 5, 4], [0, 0, 0, 0, 1, 2, 3]]), 2, 4)
    assert stays.astype(int).tolist() == [[1, 0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 0, 1, 1]]


def test_entropy_scores_inputs_by_their_share_of_the_power() -> None:
    powers = np.array([0.0625, 0.0625, 0.125, 0.25, 0.5])
    quadratic = Quadratic(np.diag(powers)[None], np.zeros((1, 1, 5)))
    scores = np.square(obs.by_entropy(quadratic))[0, 0]
    assert scores == pytest.approx(powers * np.log(2) * [4, 4, 3, 2, 1])
    assert np.square(obs.by_input(quadratic))[0, 0] == pytest.approx(powers)
