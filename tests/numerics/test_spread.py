"""The spread of values, and the range that each estimator makes of it, against definitions over all values."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics.divergence import clipping_bins, divergences
from nncompress.numerics.estimators import Estimator, Method, kept_range
from nncompress.numerics.histogram import BINS, Histogram
from nncompress.numerics.rounding_error import squared_errors
from nncompress.numerics.spread import Spread
from tests.models import noise

FLOAT32_MAX = float(np.finfo(np.float32).max)
METHODS: tuple[Method, ...] = get_args(Method)
anything = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(width=32) | st.floats(-8, 8, width=32) | st.just(0.0) | st.sampled_from([-1.0, 1.0, 0.5]),
)
ordinary = hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-100, 100, width=32) | st.just(0.0))
cuts = st.lists(st.integers(0, 200), max_size=5)
property_test = settings(deadline=None, derandomize=True, max_examples=60)


def in_parts(values: np.ndarray, places: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(min(place, len(values)) for place in places))


def spread_of(*parts: np.ndarray) -> Spread:
    spread = Spread()
    for part in parts:
        spread.add(part)
    return spread


def heavy_tailed(seed: int, size: int = 20_000) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, size).astype(np.float32)


VALUES = {
    "normal": noise(20_000),
    "after a relu": np.maximum(noise(20_000), 0),
    "never positive": -np.abs(heavy_tailed(0)),
    "heavy tails": heavy_tailed(1),
    "one huge outlier": np.append(noise(20_000), np.float32(1e4)),
    "mostly on one side": np.append(np.abs(heavy_tailed(2)), np.float32(-0.3)),
    "float64": heavy_tailed(3).astype(np.float64) * 1e-3,
    "float16": noise(5000).astype(np.float16),
}
each_kind_of_values = pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))


# ------------------------------------------------------------------------------------------------ accumulators
@property_test
@given(anything, cuts, st.booleans())
def test_what_was_seen_counts_and_not_in_which_parts_or_order(
    values: np.ndarray, places: list[int], back: bool
) -> None:
    parts = in_parts(values, places)[:: -1 if back else 1]
    whole, merged, by_part = spread_of(values), Spread(), spread_of(*parts)
    for part in parts:
        merged.merge(spread_of(part))
    for other in (merged, by_part):
        assert (other.count, other.not_finite) == (whole.count, whole.not_finite)
        for name, array in whole.histogram.arrays().items():
            assert np.array_equal(other.histogram.arrays()[name], array)
        if whole.count:
            assert (other.least, other.greatest) == (whole.least, whole.greatest)


@property_test
@given(anything)
def test_the_histogram_counts_the_finite_values_in_bins_of_its_width(values: np.ndarray) -> None:
    spread = spread_of(values)
    finite, width = values[np.isfinite(values)].astype(np.float64), spread.histogram.width
    expected = np.zeros(2 * BINS, np.int64)
    for place in (finite / width).tolist():
        expected[BINS + (math.floor(place) if abs(place) > 1e-44 else 0)] += 1  # float32 has no smaller place
    assert np.array_equal(spread.histogram.counts, expected)
    assert spread.count == len(finite)
    assert spread.not_finite == len(values) - len(finite)
    assert spread.histogram.zeros == np.count_nonzero(finite == 0)


def test_bins_are_as_narrow_as_the_largest_value_allows() -> None:
    for largest in (1.0, 0.999, 1024.0, 1e-30, FLOAT32_MAX):
        histogram = Histogram()
        histogram.add(np.array([largest, -largest / 3], np.float32), float(np.float32(largest)))
        assert largest / BINS < histogram.width <= 2 * largest / BINS * (1 + 1e-6)


@each_kind_of_values
def test_what_is_written_to_arrays_is_what_comes_back(values: np.ndarray) -> None:
    spread = spread_of(values[:100], values[100:])
    again = Spread.of(dict(spread.arrays()))
    for name, array in spread.arrays().items():
        assert np.array_equal(again.arrays()[name], array)
    again.add(values)  # and goes on
    assert again.count == 2 * spread.count


# ------------------------------------------------------------------------------------------------ all estimators
@pytest.mark.parametrize("method", METHODS)
@settings(property_test, max_examples=20)
@given(values=anything, places=cuts)
def test_a_range_holds_0_and_lies_within_what_was_seen(method: Method, values: np.ndarray, places: list[int]) -> None:
    spread = spread_of(*in_parts(values, places))
    if spread.count:
        low, high = kept_range(spread, Estimator(method))
        assert min(spread.least, 0) <= low <= 0 <= high <= max(spread.greatest, 0)
        assert (low < high) == bool(values[np.isfinite(values)].any())


@pytest.mark.parametrize("method", METHODS)
def test_of_one_sided_values_the_other_end_is_exactly_0(method: Method) -> None:
    relu = spread_of(np.maximum(noise(1000), 0))
    assert kept_range(relu, Estimator(method))[0] == 0
    assert math.copysign(1, kept_range(relu, Estimator(method))[0]) == 1
    assert kept_range(spread_of(-np.abs(noise(1000))), Estimator(method))[1] == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("constant", [3.0, -2.5, 0.0, FLOAT32_MAX])
def test_a_constant_is_kept(method: Method, constant: float) -> None:
    spread = spread_of(np.full((2, 5), constant, np.float32))
    assert kept_range(spread, Estimator(method)) == (min(constant, 0), max(constant, 0))


# ------------------------------------------------------------------------------------------------ each by definition
@each_kind_of_values
def test_minmax_and_moving_average_are_exact(values: np.ndarray) -> None:
    parts = np.array_split(values, 7)
    spread, ends = spread_of(*parts), [(float(part.min()), float(part.max())) for part in parts]
    low, high = values.min(), values.max()
    assert kept_range(spread, Estimator("minmax")) == (min(low, 0), max(high, 0))
    means = np.mean(np.array(ends, np.float64), axis=0)
    expected = min(means[0], 0), max(means[1], 0)
    assert kept_range(spread, Estimator("moving-average")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("percentile", [100, 99.99, 99.9, 99, 90.5])
@each_kind_of_values
def test_percentiles_are_off_by_a_bin_at_most_and_never_cut_more(values: np.ndarray, percentile: float) -> None:
    spread, exact = spread_of(values), np.sort(values.astype(np.float64))
    two_sided = exact[0] < 0 < exact[-1]
    cut = math.floor(len(exact) * (100 - percentile) / (200 if two_sided else 100) + 1e-6)
    low, high = kept_range(spread, Estimator("percentile", percentile))
    expected = min(exact[cut], 0), max(exact[-1 - cut], 0)
    assert 0 <= expected[0] - low <= spread.histogram.width
    assert 0 <= high - expected[1] <= spread.histogram.width
    assert np.count_nonzero((exact < low) | (exact > high)) <= cut * (2 if two_sided else 1)


def divergence_by_definition(counts: list[int], kept: int, levels: int) -> float:
    """As in the slides, step by step."""
    p = [float(count) for count in counts[:kept]]
    p[-1] += sum(counts[kept:])
    q = [0.0] * kept
    for level in range(levels):
        group = range(level * kept // levels, (level + 1) * kept // levels)
        filled = [place for place in group if counts[place]]
        for place in filled:
            q[place] = sum(counts[place] for place in filled) / len(filled)
    if any(left and not right for left, right in zip(p, q, strict=True)):
        return math.inf
    whole, known = sum(p), sum(q)
    return sum(a / whole * math.log(a / whole / (b / known)) for a, b in zip(p, q, strict=True) if a)


@property_test
@given(st.lists(st.sampled_from([0, 0, 1, 2, 7, 1000]), min_size=20, max_size=60).filter(any), st.sampled_from([4, 8]))
def test_divergences_are_those_of_the_definition(counts: list[int], levels: int) -> None:
    used = max(place for place, count in enumerate(counts) if count) + 1
    expected = {kept: divergence_by_definition(counts[:used], kept, levels) for kept in range(levels, used + 1)}
    finite = [kept for kept in expected if math.isfinite(expected[kept])]
    if finite:
        known = divergences(np.array(counts[:used]), np.array(finite), levels)
        assert known == pytest.approx([expected[kept] for kept in finite], rel=1e-9, abs=1e-9)
    kept = clipping_bins(np.array(counts), levels)
    tried = [expected[place] for place in range(used, levels - 1, -4)]
    assert kept == used if used <= levels else expected[kept] == pytest.approx(min(tried), rel=1e-9, abs=1e-9)


@each_kind_of_values
def test_entropy_is_the_best_threshold_of_all_magnitudes(values: np.ndarray) -> None:
    spread = spread_of(values)
    low, high = kept_range(spread, Estimator("entropy", bits=4))
    width, exact = spread.histogram.width, values[values != 0].astype(np.float64)
    places = np.where(exact < 0, -np.floor(exact / width) - 1, np.floor(exact / width)).astype(int)
    counts = np.bincount(places).tolist()
    levels = 8 if spread.least < 0 < spread.greatest else 16
    kept = clipping_bins(np.array(counts), levels)
    threshold = kept * width
    assert (low, high) == (max(-threshold, min(spread.least, 0)), min(threshold, max(spread.greatest, 0)))
    some = range(len(counts), levels - 1, -4 * max(1, len(counts) // 40))
    best = min(divergence_by_definition(counts, tried, levels) for tried in some)
    assert divergence_by_definition(counts, kept, levels) <= best * (1 + 1e-9)


def rounded(values: np.ndarray, low: float, high: float, levels: int) -> np.ndarray:
    scale = (high - low) / (levels - 1)
    zero = np.rint(-low / scale)
    return scale * (np.clip(np.rint(values / scale) + zero, 0, levels - 1) - zero)


def root_mean_square(values: np.ndarray, low: float, high: float, levels: int) -> float:
    exact = values.astype(np.float64)
    return float(np.sqrt(np.square(exact - rounded(exact, low, high, levels)).mean()))


@pytest.mark.parametrize("bits", [4, 8])
@each_kind_of_values
def test_mse_is_no_worse_than_any_range_by_more_than_a_bin(values: np.ndarray, bits: int) -> None:
    spread, levels = spread_of(values), 2**bits
    found = root_mean_square(values, *kept_range(spread, Estimator("mse", bits=bits)), levels)
    lows, highs = (end * np.arange(8, 0, -1) / 8 for end in (min(spread.least, 0.0), max(spread.greatest, 0.0)))
    tried = [(low, high) for low, high in itertools.product(set(lows), set(highs)) if low < high]
    best = min(root_mean_square(values, low, high, levels) for low, high in tried)
    # half a width for each of the two, see rounding_error
    assert found <= best + spread.histogram.width


@property_test
@given(ordinary, st.floats(-1, 0), st.floats(0.01, 1), st.sampled_from([4, 16, 256]))
def test_squared_errors_are_those_of_the_middles_of_the_bins(
    values: np.ndarray, low: float, high: float, levels: int
) -> None:
    histogram = spread_of(values).histogram
    counts = histogram.without_zeros()
    low, high = low * BINS, high * BINS
    middles = np.arange(-BINS, BINS) + 0.5
    expected = (counts * np.square(middles - rounded(middles, low, high, levels))).sum()
    (error,) = squared_errors(counts, np.array([low]), np.array([high]), levels)
    # sums of squares up to BINS^2 cancel
    assert error == pytest.approx(expected, rel=1e-9, abs=1e-9 * len(values) * BINS**2)
