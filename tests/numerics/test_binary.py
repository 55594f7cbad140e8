"""Sums of signs: one term is the mean of magnitudes, more are no worse than any by brute force, none makes it worse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nncompress.numerics.binary import Binarized, binarized
from nncompress.numerics.held import Store
from tests.models import noise


def made(weight: np.ndarray, axes: tuple[int, ...], terms: int, **options: object) -> Binarized:
    return binarized(weight, axes, terms=terms, store=Store(), **options)  # type: ignore[arg-type]


def test_one_term_is_the_sign_and_the_mean_of_magnitudes() -> None:
    weight = noise(5, 200)
    one = made(weight, (0,), 1)
    mean = np.abs(weight).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(one.signs.decode(), np.sign(weight) * mean, rtol=1e-3)


@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 2)])
@pytest.mark.parametrize("terms", [1, 2, 3, 4])
def test_the_sums_are_those_of_what_is_decoded(axes: tuple[int, ...], terms: int) -> None:
    weight = noise(6, 20, 30)
    one = made(weight, axes, terms)
    assert one.signal == pytest.approx(float((weight.astype(float) ** 2).sum()))
    assert one.noise == pytest.approx(float(((weight - one.signs.decode()).astype(float) ** 2).sum()), rel=1e-4)
    places = np.arange(0, weight.size, 7)
    np.testing.assert_allclose(one.signs.decode_at(places), one.signs.decode().reshape(-1)[places], rtol=1e-6)


def test_few_weights_are_divided_as_well_as_can_be() -> None:
    """Of all signs of six weights, with the best scales for each; ends of turns may be local, if not by much."""
    excess = []
    for seed in range(12):
        weight, least = noise(1, 6, seed=seed), np.inf
        for signs in itertools.combinations_with_replacement(list(itertools.product((-1.0, 1.0), repeat=6)), 2):
            matrix = np.array(signs).T
            scales = np.linalg.lstsq(matrix, weight[0].astype(float), rcond=None)[0]
            least = min(least, float(((weight[0] - matrix @ scales) ** 2).sum()))
        excess.append(made(weight, (0,), 2).noise - least)
    assert min(excess) >= -1e-5
    assert np.median(excess) <= 0.01 * 6


def test_each_weight_has_the_nearest_of_all_sums() -> None:
    weight = noise(3, 400)
    one = made(weight, (0,), 3)
    for channel in range(3):
        scales = one.signs.scales[:, channel, 0]
        sums = np.array([np.dot(pattern, scales) for pattern in itertools.product((-1, 1), repeat=3)])
        nearest = np.abs(weight[channel][:, None] - sums).min(axis=1)
        chosen = np.abs(weight[channel] - one.signs.decode()[channel])
        assert (chosen <= nearest + 2e-3).all()  # scales are rounded to float16 afterwards


def test_a_normal_weight_has_the_decibels_that_theory_has() -> None:
    """Two levels leave 1 - 2/pi of the variance of a normal one, and four at best 0.1175 (Max, 1960)."""
    weight = noise(4, 50_000)
    noises = [made(weight, (0,), terms).noise / weight.size for terms in (1, 2, 3, 4)]
    assert noises[0] == pytest.approx(1 - 2 / np.pi, rel=0.02)
    assert noises[1] == pytest.approx(0.1175, rel=0.03)
    assert noises[2] < 0.05
    assert noises[3] < 0.02


@pytest.mark.parametrize("weight", [np.zeros((3, 8)), np.full((3, 8), -2.0)])
def test_weights_without_variety_come_through(weight: np.ndarray) -> None:
    one = made(weight.astype(np.float32), (0,), 2)
    np.testing.assert_allclose(one.signs.decode(), weight, atol=1e-3)


def test_what_counts_more_is_closer() -> None:
    weight = noise(10, 100)
    importance = np.where(np.arange(100) < 10, np.float32(100), np.float32(1)).reshape(1, -1)
    plain, weighted = made(weight, (0,), 2), made(weight, (0,), 2, importance=importance)
    errors = [np.square(weight - one.signs.decode())[:, :10].mean() for one in (plain, weighted)]
    assert errors[1] < errors[0]
