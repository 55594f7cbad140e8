"""Moments and ranges: those of parts, merged, are those of the whole, by their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics.moments import Moments
from nncompress.numerics.ranges import Ranges
from nncompress.numerics.statistics import Statistics
from tests.models import noise

EPS = float(np.finfo(np.float64).eps)
rows_of_three = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-1e4, 1e4, width=32)
)
cuts = st.lists(st.integers(0, 40), max_size=5)


def in_parts(rows: np.ndarray, places: list[int]) -> list[np.ndarray]:
    return np.split(rows, sorted(min(place, len(rows)) for place in places))


@settings(deadline=None, derandomize=True)
@given(rows_of_three, cuts, st.booleans())
def test_moments_of_parts_in_any_order_are_those_of_the_whole(
    rows: np.ndarray, places: list[int], backwards: bool
) -> None:
    exact = rows.astype(np.float64)
    whole = Moments(3)
    for part in in_parts(rows, places)[:: -1 if backwards else 1]:
        one = Moments(3)
        one.add(part)
        whole.merge(one)
    # each of n additions rounds by half an eps of a sum that no partial sum exceeds
    largest = np.abs(exact).max()
    assert whole.count == len(rows)
    assert np.abs(whole.mean - exact.mean(axis=0)).max() <= 2 * len(rows) * EPS * largest
    m2 = np.square(exact - exact.mean(axis=0)).sum(axis=0)
    assert np.abs(whole.m2 - m2).max() <= 8 * len(rows) ** 2 * EPS * largest**2
    squares = np.square(exact).sum(axis=0)
    assert np.abs(whole.squares - squares).max() <= 8 * len(rows) ** 2 * EPS * largest**2


def test_moments_do_not_cancel_far_from_zero() -> None:
    rows = 1e6 + noise(1000, 2).astype(np.float64)
    moments = Moments(2)
    for part in np.array_split(rows, 7):
        moments.add(part)
    assert moments.m2 == pytest.approx(np.square(rows - rows.mean(axis=0)).sum(axis=0), rel=1e-9)


@settings(deadline=None, derandomize=True)
@given(rows_of_three, cuts)
def test_ranges_of_parts_are_those_of_the_whole(rows: np.ndarray, places: list[int]) -> None:
    whole = Ranges(3)
    for part in in_parts(rows, places):
        one = Ranges(3)
        one.add(part)
        whole.merge(one)
    assert np.array_equal(whole.low, rows.min(axis=0))
    assert np.array_equal(whole.high, rows.max(axis=0))


def test_ranges_leave_out_nan_and_are_empty_without_rows() -> None:
    ranges = Ranges(2)
    ranges.add(np.array([[1, np.nan], [3, np.nan]], np.float32))
    assert ranges.arrays()["low"].tolist() == [1, np.inf]
    assert ranges.arrays()["high"].tolist() == [3, -np.inf]


def test_every_accumulator_keeps_the_contract() -> None:
    accumulators: list[Statistics] = [Moments(2), Ranges(2)]
    for one in accumulators:
        one.add(noise(5, 2))
        assert all(isinstance(array, np.ndarray) for array in one.arrays().values())
