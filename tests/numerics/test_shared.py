"""Shared values: codes are the nearest, zeros stay zero, scales and importance do what they are there for."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.numerics.held import Store
from nncompress.numerics.kmeans import best_centers
from nncompress.numerics.shared import Shared, shared
from tests.models import noise

AXES = [(), (0,), (1,), (0, 2)]


def made(weight: np.ndarray, axes: tuple[int, ...], count: int = 8, **options: object) -> Shared:
    return shared(weight, axes, count=count, store=Store(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("axes", AXES)
def test_the_sums_are_those_of_what_is_decoded(axes: tuple[int, ...]) -> None:
    weight, importance = noise(6, 20, 30), np.abs(noise(1, 20, 1, seed=1)) + np.float32(0.1)
    one = made(weight, axes, importance=importance)
    errors = (weight - one.codebook.decode()).astype(float) ** 2
    assert one.signal == pytest.approx(float((weight.astype(float) ** 2).sum()))
    assert one.noise == pytest.approx(float(errors.sum()), rel=1e-5)
    assert one.weighted_noise == pytest.approx(float((errors * importance).sum()), rel=1e-5)
    assert len(one.codebook.values) <= 8
    assert one.codebook.bits == 3
    places = np.arange(0, weight.size, 7)
    assert np.array_equal(one.codebook.decode_at(places), one.codebook.decode().reshape(-1)[places])
    assert one.codebook.nonzeros == np.count_nonzero(one.codebook.codes.load())


@pytest.mark.parametrize("axes", AXES)
def test_each_code_is_that_of_the_nearest_value(axes: tuple[int, ...]) -> None:
    weight = noise(6, 20, 30)
    codebook = made(weight, axes).codebook
    scale = 1.0 if codebook.scale is None else codebook.scale
    distances = np.abs(weight[..., None] - np.multiply.outer(np.ones(weight.shape), codebook.values) * np.reshape(
        np.broadcast_to(scale, weight.shape), (*weight.shape, 1)))  # fmt: skip
    chosen = np.take_along_axis(distances, codebook.codes.load()[..., None].astype(int), -1)[..., 0]
    assert (chosen <= distances.min(axis=-1) + 1e-6).all()


def test_without_scales_it_is_k_means() -> None:
    weight = noise(50, 60)
    assert sorted(made(weight, (), 16).codebook.values) == pytest.approx(best_centers(weight, 16))


def test_scales_make_up_for_channels_of_different_size() -> None:
    weight = noise(8, 500) * np.float32([[10.0**k] for k in range(-4, 4)])
    plain, scaled = made(weight, (), 16), made(weight, (0,), 16)
    assert scaled.noise < plain.noise / 2
    worst = [
        np.square(weight - one.codebook.decode()).sum(axis=1) / np.square(weight).sum(axis=1) for one in (plain, scaled)
    ]
    assert worst[0].max() > 0.5
    assert worst[1].max() < 0.02


@pytest.mark.parametrize("axes", [(), (0,)])
@pytest.mark.parametrize("count", [2, 16])
def test_zeros_of_pruned_weights_stay_zero_and_have_code_0(axes: tuple[int, ...], count: int) -> None:
    weight = noise(40, 50)
    weight[np.random.default_rng(0).random(weight.shape) < 0.7] = 0
    codebook = made(weight, axes, count).codebook
    codes, decoded = codebook.codes.load(), codebook.decode()
    assert codebook.values[0] == 0
    assert len(codebook.values) <= count
    assert not decoded[weight == 0].any()
    assert np.array_equal(codes == 0, decoded == 0)


@pytest.mark.parametrize("weight", [np.zeros((4, 5)), np.full((4, 5), 2.5), np.float32([[1, 0], [0, 3]])])
@pytest.mark.parametrize("axes", [(), (0,)])
def test_few_values_are_exact(weight: np.ndarray, axes: tuple[int, ...]) -> None:
    one = made(weight.astype(np.float32), axes, 4)
    np.testing.assert_allclose(one.codebook.decode(), weight, rtol=1e-3)


def test_what_counts_more_is_closer() -> None:
    weight = noise(100, 100)
    importance = np.where(np.arange(100) < 10, np.float32(100), np.float32(1)).reshape(1, -1)
    plain, weighted = made(weight, (), 4), made(weight, (), 4, importance=importance)
    errors = [np.square(weight - one.codebook.decode())[:, :10].mean() for one in (plain, weighted)]
    assert errors[1] < errors[0]


def test_of_given_tables_the_best_is_taken() -> None:
    even = np.linspace(-1, 1, 9).astype(np.float32)
    powers = np.float32([-1, -0.5, -0.25, -0.125, 0, 0.125, 0.25, 0.5, 1])
    for table, other in ((even, powers), (powers, even)):
        weight = np.random.default_rng(0).choice(table, (30, 40)).astype(np.float32) * np.float32(3)
        one = made(weight, (0,), 9, tables=[other, table])
        assert one.sqnr_db is None or one.sqnr_db > 60
        assert set(one.codebook.values) == set(table)
