"""Gaps and masks decode to the array that they were made from."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics.held import Store
from nncompress.numerics.sparse import GAP_BITS, Pruned, entries_with_gaps, gaps_and_values, mask_and_values


def from_gaps(gaps: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """By the definition: walk along the gaps, and put each value where one stands."""
    array, place = np.zeros(size, values.dtype), 0
    for gap, value in zip(gaps.tolist(), values, strict=True):
        place += gap
        array[place] = value
    return array


def from_mask(mask: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """By the definition: 1 at places that take the next value."""
    rest = iter(values)
    return np.array([next(rest) if mask[i] else 0 for i in range(size)], values.dtype)


def check(array: np.ndarray) -> None:
    for bits in GAP_BITS:
        gaps, values = gaps_and_values(array, bits)
        assert gaps.dtype == np.uint8
        assert gaps.max(initial=0) < 2**bits
        assert values.dtype == array.dtype
        assert len(gaps) == len(values) == entries_with_gaps(array, bits)
        assert np.array_equal(from_gaps(gaps, values, array.size), array.reshape(-1))
    mask, kept = mask_and_values(array)
    assert (mask.dtype, len(mask)) == (np.uint8, array.size)
    assert len(kept) == np.count_nonzero(array)
    assert np.array_equal(from_mask(mask, kept, array.size), array.reshape(-1))


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(1, 127)), max_size=8), st.integers(0, 600))
def test_any_distances_survive(entries: list[tuple[int, int]], tail: int) -> None:
    places = np.cumsum([1 + distance for distance, _ in entries], dtype=np.int64)
    array = np.zeros(int(places[-1]) + tail if entries else tail, np.int8)
    array[places - 1] = [value for _, value in entries]
    check(array)


@settings(deadline=None, derandomize=True)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=9), elements=st.sampled_from([0, 0, 1.5, -2.0])))
def test_any_small_array_survives(array: np.ndarray) -> None:
    check(array)


@pytest.mark.parametrize("distance", [0, 1, 14, 15, 16, 29, 30, 31, 254, 255, 256, 257, 509, 510, 511, 765, 766, 5000])
def test_distances_around_the_largest_gap_survive(distance: int) -> None:
    array = np.zeros(distance + 2, np.float32)
    array[[0, distance + 1 if distance else 1]] = 3, 4
    check(array)
    only_last = np.zeros(distance + 1, np.float32)
    only_last[-1] = 5
    check(only_last)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(1000, np.int8),
        np.zeros((0,), np.float32),
        np.ones((3, 5), np.float16),
        np.eye(300, dtype=np.float32),
        np.array([[7]], np.int8),
        np.array([[0]], np.int8),
    ],
    ids=["all zero", "empty", "none zero", "diagonal", "one", "one zero"],
)
def test_extremes_survive(array: np.ndarray) -> None:
    check(array)


def test_a_bridge_has_the_largest_gap_and_the_value_zero() -> None:
    array = np.zeros(600, np.int8)
    array[[10, 599]] = 1, 2
    gaps, values = gaps_and_values(array)
    assert gaps.tolist() == [10, 255, 255, 79]
    assert values.tolist() == [1, 0, 0, 2]


def test_negative_zeros_are_zeros() -> None:
    check(np.float32([-0.0, 1, -0.0]))
    assert gaps_and_values(np.float32([-0.0, 1]))[1].tolist() == [1]


def test_a_pruned_weight_decodes_to_its_values() -> None:
    values = np.float32([[0, 1], [2, 0]])
    assert np.array_equal(Pruned(Store().hold(values), (2, 2), 2).decode(), values)
