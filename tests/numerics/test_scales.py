"""Scales in narrow types, one scale for all, and zero points: against brute force, and at what price."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics.affine import Quantized, quantize
from nncompress.numerics.held import Store
from nncompress.numerics.scales import (
    DB_PER_PERCENT,
    LEAST_GAIN_DB,
    MOST_LOSS_DB,
    Kind,
    affordable,
    growth_db,
    pays_zero_points,
)  # fmt: skip
from tests.models import noise

ALL: tuple[Kind, ...] = ("one", "uint8", "float16", "bfloat16")
WIDTH = {"uint8": 1, "float16": 2, "bfloat16": 2}
MANY = 1 << 40  # codes: bytes of scales do not count
positive = st.floats(-30, 20).map(lambda power: float(np.float32(2.0**power)))
scales = st.lists(positive, min_size=2, max_size=40).map(lambda values: np.array(values, np.float32))


def used(scale: np.ndarray) -> np.ndarray:
    return np.ones(scale.shape, bool)


def made(weight: np.ndarray, kinds: tuple[Kind, ...], symmetric: bool | None = True) -> Quantized:
    return quantize(weight, (0,), bits=8, signed=True, symmetric=symmetric, range_="minmax", store=Store(), kinds=kinds)


def channel_noise(weight: np.ndarray, quantized: Quantized) -> np.ndarray:
    error = weight.astype(np.float64) - quantized.affine.decode()
    return (error**2).sum(axis=1) / (weight.astype(np.float64) ** 2).sum(axis=1)


# ------------------------------------------------------------------------------------------------ single types
@pytest.mark.parametrize("kind", ["one", "uint8", "float16", "bfloat16"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(scale=scales, spread=st.sampled_from([0.02, 0.3, 1.0]))
def test_scales_are_the_next_larger_ones_of_the_type(kind: Kind, scale: np.ndarray, spread: float) -> None:
    scale = scale ** np.float32(spread)
    found = affordable(scale, used(scale), len(scale), (kind,), math.inf)
    if found.kind == "float32":
        assert np.array_equal(found.values, scale)
        return
    largest = scale.max()
    numbers = {
        "one": lambda: largest[None],
        "uint8": lambda: np.arange(1, 256, dtype=np.float32) * np.float32(found.values.max() / 255),
        "float16": lambda: np.arange(1 << 10, 31 << 10, dtype=np.uint16).view(np.float16).astype(np.float32),
        "bfloat16": lambda: np.arange(1 << 7, 255 << 7, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float32),
    }[kind]()
    next_larger = numbers[np.searchsorted(numbers, scale * np.float32(1 - 2**-22))]
    assert np.allclose(np.broadcast_to(found.values, scale.shape), next_larger, rtol=2**-21)
    assert found.values.max() <= largest * np.float32(1 + 2**-7)
    assert growth_db(found.values, scale, used(scale)) <= MOST_LOSS_DB


@pytest.mark.parametrize("kind", ALL)
def test_noise_grows_by_no_more_than_said(kind: Kind) -> None:
    """Rounding errors are uniform where steps are small, but for the largest element, which plain scales have exact."""
    weight = np.random.default_rng(0).uniform(-1, 1, (1000, 200)).astype(np.float32)
    weight *= np.random.default_rng(1).uniform(0.98 if kind == "one" else 0.2, 1, (1000, 1)).astype(np.float32)
    plain, narrow = made(weight, ()), made(weight, (kind,))
    said = growth_db(narrow.affine.scale.reshape(-1), plain.affine.scale.reshape(-1), np.ones(1000, bool))
    grown = 10 * np.log10((channel_noise(weight, narrow) / channel_noise(weight, plain)).mean())
    assert narrow.affine.scale.size == (1 if kind == "one" else 1000)
    assert not np.array_equal(narrow.affine.scale, plain.affine.scale)
    exact, chance = 10 * np.log10(200 / 199), 10 * np.log10(1 + 4 * 0.9 / np.sqrt(1000 * 200))
    assert said - chance <= grown <= said + exact + chance


@pytest.mark.parametrize("kind", ALL)
def test_no_element_is_off_by_more_than_half_a_step_of_what_is_stored(kind: Kind) -> None:
    weight = noise(40, 50) * np.linspace(0.9, 1, 40, dtype=np.float32)[:, None]
    found = made(weight, (kind,)).affine
    assert np.all(np.abs(weight - found.decode()) <= 0.5 * found.scale * (1 + 1e-5))


def test_sums_of_squares_are_those_of_the_scales_that_are_stored() -> None:
    weight = noise(300, 40)
    for kind, symmetric in itertools.product(ALL, (True, False)):
        found = made(weight, (kind,), symmetric)
        error = float(((weight.astype(np.float64) - found.affine.decode()) ** 2).sum())
        assert found.noise == pytest.approx(error, rel=1e-4)


# ------------------------------------------------------------------------------------------------ choice
@settings(max_examples=100, deadline=None, derandomize=True)
@given(scales, st.integers(4, 4000))
def test_the_choice_is_the_least_of_bytes_and_decibels(scale: np.ndarray, elements: int) -> None:
    codes = elements * len(scale)
    found = affordable(scale, used(scale), codes, ALL, math.inf)

    def price(kind: Kind) -> float:
        one = found if found.kind == kind else affordable(scale, used(scale), 1, (kind,), math.inf)
        nodes = {"one": 0, "float32": 0, "uint8": 125}.get(kind, 50)
        size = 4 if kind == "one" else WIDTH.get(kind, 4) * len(scale)
        if kind not in (one.kind, "float32"):
            return math.inf
        return growth_db(one.values, scale, used(scale)) + DB_PER_PERCENT * 100 * (size + nodes) / codes

    assert price(found.kind) <= min(map(price, (*ALL, "float32"))) + 1e-9


def test_noise_of_scales_must_save_four_times_the_bytes_that_noise_of_codes_saves() -> None:
    assert pytest.approx(20 * math.log10(2)) == DB_PER_PERCENT * 12.5 * 4


def test_where_scales_take_next_to_nothing_they_stay_as_they_are() -> None:
    scale = np.linspace(0.1, 1, 50, dtype=np.float32)
    assert affordable(scale, used(scale), MANY, ALL, math.inf).kind == "float32"


def test_channels_of_very_different_ranges_never_share_and_keep_their_precision() -> None:
    scale = np.logspace(-30, 0, 300, dtype=np.float32)
    found = affordable(scale, used(scale), 1000, ALL, math.inf)
    assert found.kind == "bfloat16"
    assert np.all(found.values / scale < 1 + 2**-7)
    assert affordable(scale, used(scale), 1000, ("one", "uint8", "float16"), math.inf).kind == "float32"


def test_not_a_single_channel_of_many_loses_much() -> None:
    scale = np.where(np.arange(100_000) == 7, np.float32(0.001), np.float32(1))
    for kind in ("one", "uint8"):
        assert affordable(scale, used(scale), 1_000_000, (kind,), math.inf).kind == "float32"  # type: ignore[arg-type]
    assert affordable(np.maximum(scale, 0.9), used(scale), 1_000_000, ("one",), math.inf).kind == "one"


def test_channels_without_values_hinder_nobody() -> None:
    scale = np.where(np.arange(200) % 7, np.float32(0.5), np.finfo(np.float32).tiny)
    live = scale > 0.1
    assert affordable(scale, live, 4000, ("one",), math.inf).values.tolist() == [0.5]
    for kind in ("uint8", "float16"):
        found = affordable(scale, live, 4000, (kind,), math.inf)  # type: ignore[arg-type]
        assert (found.kind, growth_db(found.values, scale, live)) == (kind, pytest.approx(0, abs=1e-3))
    assert affordable(scale, np.zeros(200, bool), 4000, ALL, math.inf).kind == "float32"


def test_no_scale_exceeds_what_codes_may_decode_to() -> None:
    scale = np.full(100, 1.001, np.float32)
    assert affordable(scale, used(scale), 100, ("bfloat16",), math.inf).kind == "bfloat16"
    assert affordable(scale, used(scale), 100, ("bfloat16",), 1.002).kind == "float32"


# ------------------------------------------------------------------------------------------------ zero points
def test_zero_points_come_where_the_range_is_one_sided_and_stay_away_elsewhere() -> None:
    weight = noise(50, 400)
    for array, symmetric in ((weight, True), (np.abs(weight), False), (-np.abs(weight), False)):
        found = made(array, (), None)
        assert found.symmetric is symmetric
        assert (found.affine.zero_point is None) is symmetric
        best = max(made(array, (), kind).sqnr_db or 0 for kind in (True, False))
        assert (found.sqnr_db or 0) >= best - LEAST_GAIN_DB - 1, "zero points and their nodes are 0.9 % of the codes"


@pytest.mark.parametrize(("elements", "pays"), [(1000, True), (60, True), (10, False)])
def test_zero_points_must_gain_a_decibel_and_one_for_each_percent(elements: int, pays: bool) -> None:
    """Half of the step is 6.02 dB; a byte for 60 codes is 1.7 %, one for 10 is 10 %."""
    plain = np.full(1000, 0.2, np.float32)
    gain_db = -growth_db(plain / 2, plain, used(plain))
    assert pays_zero_points(gain_db, 1000, 1000 * elements) is pays


@pytest.mark.parametrize("signed", [True, False])
def test_values_that_were_rounded_before_stay_what_they_are(signed: bool) -> None:
    """As in a model that was quantized and stored as floats again, with scales that no narrow type holds."""
    codes = np.random.default_rng(0).integers(-127 if signed else 0, 128, (300, 40)).astype(np.float32)
    codes[:, 0] = 127
    weight = codes * np.random.default_rng(1).uniform(0.5, 1, (300, 1)).astype(np.float32)
    found = made(weight, ALL, None)
    assert found.symmetric
    assert np.allclose(found.affine.decode(), weight, rtol=2**-22)
    alike = codes * np.float32(0.3)
    assert made(alike, ALL, None).affine.scale.shape == (1, 1)
    assert np.allclose(made(alike, ALL, None).affine.decode(), alike, rtol=2**-22)


def test_weights_with_many_zeros_keep_the_code_0_for_them() -> None:
    weight = np.abs(noise(50, 400))
    weight[:, ::3] = 0
    assert made(weight, (), None).symmetric
    assert not made(np.abs(noise(50, 400)), (), None).symmetric
