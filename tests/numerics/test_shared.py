"""Shared values: codes are the nearest, zeros stay zero, scales and importance do what they are there for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.forms.narrow import narrowest
from nncompress.numerics.channels import Groups
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


def test_scales_take_a_byte_where_channels_are_alike() -> None:
    alike = noise(300, 40)
    scale = made(alike, (0,), 16).codebook.scale
    assert scale is not None
    assert narrowest(scale, 13).size_bytes < 310
    apart = made(alike * np.float32([[1.0], [0.01]] * 150), (0,), 16).codebook.scale
    assert apart is not None
    assert np.array_equal(apart, apart.astype(np.float16).astype(np.float32))
    assert apart.min() < apart.max() / 90


def test_a_channel_with_outliers_has_a_scale_of_its_own() -> None:
    """As the rows of the most frequent words: ten of 1,000, which count for nothing in all of the table."""
    weight = noise(1000, 64)
    weight[:10, 0] = np.linspace(6, 30, 10) * np.where(np.arange(10) % 2, 1, -1)
    codebook = made(weight, (0,), 32).codebook
    errors = np.square(weight - codebook.decode()).sum(axis=1) / np.square(weight).sum(axis=1)
    assert errors[:10].max() < 2 * np.median(errors)  # 9 times, with the scales that suit most


@pytest.mark.parametrize("size", [1e-25, 1e-2, 1e9])
@pytest.mark.parametrize("spread", [0.0, 6.0])  # of the channels, in powers of two: scales of a byte, and wider ones
def test_channels_of_zeros_stay_near_zero_and_are_not_denormal(size: float, spread: float) -> None:
    weight = noise(60, 50) * np.float32(size) * np.float32(2.0 ** np.linspace(0, spread, 60)).reshape(-1, 1)
    weight[[3, 7]] = 0
    decoded = made(weight, (0,), 8).codebook.decode()
    assert np.abs(decoded[[3, 7]]).max() < np.abs(weight[weight != 0]).mean() / 50
    assert np.abs(decoded[[3, 7]]).min() > np.finfo(np.float32).tiny
    assert np.square(weight - decoded, dtype=np.float64).sum() < 0.1 * np.square(weight, dtype=np.float64).sum()


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


# ------------------------------------------------------------------------------------------------ groups of channels
GROUPED = [((), Groups(0, 2)), ((0,), Groups(0, 3)), ((1,), Groups(1, 5)), ((0, 2), Groups(2, 10)), ((), Groups(1, 2))]


@pytest.mark.parametrize(("axes", "groups"), GROUPED)
def test_each_group_has_the_nearest_values_of_its_own_table(axes: tuple[int, ...], groups: Groups) -> None:
    weight, importance = noise(6, 20, 30), np.abs(noise(1, 20, 1, seed=1)) + np.float32(0.1)
    one = made(weight, axes, importance=importance, groups=groups)
    codebook, count = one.codebook, weight.shape[groups.axis] // groups.size
    assert codebook.values.shape == (count, 8)
    assert codebook.bits == 3
    assert codebook.codes_shape[groups.axis : groups.axis + 2] == (count, groups.size)
    decoded = codebook.decode()
    scale = np.ones(codebook.codes_shape) if codebook.scale is None else codebook.scale
    scale = np.broadcast_to(scale, codebook.codes_shape).reshape(weight.shape)
    for group in range(count):
        own = [slice(None)] * 3
        own[groups.axis] = slice(group * groups.size, (group + 1) * groups.size)
        part, steps = weight[tuple(own)], scale[tuple(own)]
        distances = np.abs(part[..., None] - steps[..., None] * codebook.values[group])
        assert (np.abs(part - decoded[tuple(own)]) <= distances.min(axis=-1) + 1e-6).all()
    errors = (weight - decoded).astype(float) ** 2
    assert one.noise == pytest.approx(float(errors.sum()), rel=1e-5)
    assert one.weighted_noise == pytest.approx(float((errors * importance).sum()), rel=1e-5)
    places = np.arange(0, weight.size, 7)
    assert np.array_equal(codebook.decode_at(places), decoded.reshape(-1)[places])
    assert codebook.nonzeros == np.count_nonzero(codebook.codes.load())


def least_error(values: np.ndarray, counts: np.ndarray, k: int) -> float:
    """Of all ways to cut sorted values in k intervals."""
    order = np.argsort(values)
    values, counts = values[order].astype(float), counts[order].astype(float)
    best = np.inf
    for cuts in itertools.combinations(range(1, len(values)), k - 1):
        parts = list(itertools.pairwise((0, *cuts, len(values))))
        means = [np.average(values[a:b], weights=counts[a:b]) for a, b in parts]
        best = min(
            best,
            sum((counts[a:b] * (values[a:b] - mean) ** 2).sum() for (a, b), mean in zip(parts, means, strict=True)),
        )
    return float(best)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_tables_of_groups_are_the_best_there_are(seed: int, k: int) -> None:
    weight, importance = noise(6, 5, seed=seed), np.abs(noise(1, 5, seed=seed + 9)) + np.float32(0.5)
    one = made(weight, (), k, importance=importance, groups=Groups(0, 2))
    counts = np.broadcast_to(importance, weight.shape)
    least = sum(least_error(weight[g : g + 2].ravel(), counts[g : g + 2].ravel(), k) for g in (0, 2, 4))
    assert one.weighted_noise == pytest.approx(least, rel=1e-3)


@pytest.mark.parametrize("axes", [(), (0,)])
def test_zeros_stay_zero_in_every_group_and_short_tables_are_filled(axes: tuple[int, ...]) -> None:
    weight = noise(40, 50)
    weight[np.random.default_rng(0).random(weight.shape) < 0.7] = 0
    weight[:10], weight[10:20, :49] = 0, 0  # a group without any other value, and one of few
    codebook = made(weight, axes, 16, groups=Groups(0, 10)).codebook
    decoded = codebook.decode()
    assert (codebook.values[:, 0] == 0).all()
    assert codebook.values.shape == (4, 16)
    assert not decoded[weight == 0].any()
    assert np.array_equal(codebook.codes.load().reshape(decoded.shape) == 0, decoded == 0)


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.03, 1.0, 1e7])
def test_tables_of_groups_are_halves_where_that_loses_nothing(size: float) -> None:
    weight = noise(4, 500) * np.float32(size)
    one = made(weight, (), 16, groups=Groups(0, 2))
    values = one.codebook.values
    alone = [best_centers(weight[row : row + 2], 16) for row in range(0, 4, 2)]
    assert np.abs(np.sort(values, axis=1) - np.stack(alone)).max() <= 2**-10 * np.abs(alone).max()
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    normal = (np.abs(halves[values != 0]) >= 2**-14).all()
    assert (np.array_equal(halves, values) and normal) == (size in (0.03, 1.0))
    assert (one.sqnr_db or 0) > 19


@settings(max_examples=6, deadline=None)
@given(st.tuples(*[st.integers(1, 4)] * 2), st.integers(2, 4), st.integers(0, 2), st.booleans(), st.integers(1, 4))
def test_what_any_groups_decode_to_is_their_table_at_each_code(
    others: tuple[int, int], count: int, axis: int, scaled: bool, size: int
) -> None:
    shape = (*others[:axis], count * size, *others[axis:])
    codebook = made(noise(*shape), (axis,) if scaled else (), 4, groups=Groups(axis, size)).codebook
    codes, decoded = codebook.codes.load(), codebook.decode().reshape(codebook.codes_shape)
    for place in np.ndindex(*codes.shape):
        value = codebook.values[place[axis], codes[place]]
        scale = 1 if codebook.scale is None else np.broadcast_to(codebook.scale, codes.shape)[place]
        assert decoded[place] == np.float32(value * scale)
