"""Histograms and pairs of values before and after, against counting by hand."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics.value_change import BINS, MOST_PAIRS, compare_values

any_values = hnp.arrays(np.float32, st.integers(0, 400), elements=st.floats(width=32))


def finite(array: np.ndarray) -> list[float]:
    return [float(x) for x in array.reshape(-1) if math.isfinite(x)]


@settings(deadline=None, derandomize=True)
@given(any_values, st.integers(0, 2**32 - 1))
def test_counts_axis_and_pairs_are_those_counted_by_hand(before: np.ndarray, seed: int) -> None:
    after = np.random.default_rng(seed).permutation(before)
    change = compare_values(before, after)
    values = finite(before) + finite(after)
    if values and min(values) < max(values):
        assert (change.low, change.high) == (min(values), max(values))
    assert change.low < change.high
    for array, counts in ((before, change.counts_before), (after, change.counts_after)):
        expected = [0] * BINS
        for x in finite(array):
            expected[min(BINS - 1, int((x - change.low) / (change.high - change.low) * BINS))] += 1
        assert counts.tolist() == expected
    both = [(float(b), float(a)) for b, a in zip(before, after, strict=True) if math.isfinite(b) and math.isfinite(a)]
    assert len(change.pairs) == min(len(both), MOST_PAIRS)
    if len(both) <= MOST_PAIRS:
        assert [tuple(pair) for pair in change.pairs.tolist()] == both
    else:
        places = [int(i * (len(both) - 1) / (MOST_PAIRS - 1)) for i in range(MOST_PAIRS)]
        assert [tuple(pair) for pair in change.pairs.tolist()] == [both[place] for place in places]


def test_numpy_counts_the_same() -> None:
    before = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    after = np.rint(before * 20) / 20
    change = compare_values(before, after)
    assert np.array_equal(change.counts_before, np.histogram(before, BINS, (change.low, change.high))[0])
    assert change.counts_after.sum() == before.size


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-40, float(np.finfo(np.float32).max)])
def test_equal_values_lie_in_the_middle_of_an_axis_of_some_length(value: float) -> None:
    change = compare_values(np.full(10, value, np.float32), np.full(10, value, np.float32))
    assert change.low < float(np.float32(value)) < change.high
    assert change.counts_before[BINS // 2 - 1 : BINS // 2 + 1].sum() == 10


@pytest.mark.parametrize("values", [[], [math.nan, math.inf, -math.inf]])
def test_nothing_finite_is_an_empty_histogram(values: list[float]) -> None:
    change = compare_values(np.array(values), np.array(values))
    assert (change.low, change.high) == (-0.5, 0.5)
    assert change.counts_before.sum() == change.counts_after.sum() == 0
    assert change.pairs.shape == (0, 2)


def test_what_is_not_finite_is_left_out_on_its_own_side_and_of_the_pairs() -> None:
    change = compare_values(np.float32([1, math.nan, 3, 4]), np.float32([1, 2, math.inf, 5]))
    assert (change.low, change.high) == (1, 5)
    assert (change.counts_before.sum(), change.counts_after.sum()) == (3, 3)
    assert change.pairs.tolist() == [[1, 1], [4, 5]]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_types_and_shapes_are_read_as_they_are(dtype: type) -> None:
    before = np.array([[0.5, -1], [2, 0.25]], dtype)
    change = compare_values(before, before)
    assert (change.low, change.high) == (-1, 2)
    assert change.pairs.dtype == np.float64
    assert change.pairs[:, 0].tolist() == [0.5, -1, 2, 0.25]
