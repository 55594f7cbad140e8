"""Which values survive pruning: exact counts, ties by position, and a threshold across arrays."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics.magnitude import global_threshold, keep_above, keep_largest, lamp_shares
from tests.models import noise

few_values = hnp.arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0.0, -0.0, 1, -1, 2, -2, 0.5]))
any_values = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32))
shares = st.floats(0.01, 0.99)


@settings(deadline=None, derandomize=True)
@given(st.one_of(few_values, any_values), shares)
def test_the_smallest_become_zero_and_of_equal_ones_the_earlier_survive(weight: np.ndarray, sparsity: float) -> None:
    drop = round(sparsity * weight.size)
    order = sorted(range(weight.size), key=lambda i: (-abs(float(weight[i])), i))  # best first
    expected = np.zeros_like(weight)
    for i in order[: weight.size - drop]:
        expected[i] = weight[i]
    kept = keep_largest(weight, sparsity)
    assert np.array_equal(kept.values, expected)
    assert kept.nonzeros == np.count_nonzero(expected)
    assert kept.nonzeros_before == np.count_nonzero(weight)
    assert kept.signal == pytest.approx(float(np.sum(weight.astype(np.float64) ** 2)))
    dropped = float(np.sum((weight - expected).astype(np.float64) ** 2))
    assert kept.noise == pytest.approx(dropped, abs=1e-9 * kept.signal)


@pytest.mark.parametrize("sparsity", [0.1, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("shape", [(40, 50), (7, 11, 13)])
def test_exactly_the_asked_share_becomes_zero(shape: tuple[int, ...], sparsity: float) -> None:
    weight = noise(*shape)
    kept = keep_largest(weight, sparsity)
    assert kept.values.shape == shape
    assert kept.nonzeros == weight.size - round(sparsity * weight.size)
    assert np.abs(kept.values[kept.values != 0]).min() >= np.abs(weight[kept.values == 0]).max()


def test_a_share_too_small_for_one_value_drops_nothing() -> None:
    kept = keep_largest(noise(3, 3), 0.05)
    assert np.array_equal(kept.values, noise(3, 3))
    assert kept.sqnr_db is None


def test_equal_values_are_dropped_from_the_end() -> None:
    assert keep_largest(np.full(8, -3.0, np.float32), 0.5).values.tolist() == [-3] * 4 + [0] * 4


def test_the_weight_itself_is_not_touched() -> None:
    weight = noise(10, 10)
    weight.flags.writeable = False
    keep_largest(weight, 0.5)
    keep_above(weight, 0.5)
    assert np.array_equal(weight, noise(10, 10))


def test_the_type_of_the_values_stays() -> None:
    assert keep_largest(noise(10, dtype=np.float64), 0.5).values.dtype == np.float64


def test_values_at_the_threshold_survive() -> None:
    kept = keep_above(np.float32([0.5, -0.5, 0.49, -2, 0]), 0.5)
    assert kept.values.tolist() == [0.5, -0.5, 0, -2, 0]
    assert (kept.nonzeros, kept.nonzeros_before) == (3, 4)
    assert kept.noise == pytest.approx(0.49**2)
    assert kept.sqnr_db == pytest.approx(10 * math.log10(kept.signal / kept.noise))


# ------------------------------------------------------------------------------------------------ across arrays
@settings(deadline=None, derandomize=True)
@given(st.lists(st.one_of(few_values, any_values), min_size=1, max_size=4), shares)
def test_the_global_threshold_is_the_value_at_its_rank_in_the_sorted_magnitudes(
    arrays: list[np.ndarray], sparsity: float
) -> None:
    ordered = np.sort(np.abs(np.concatenate(arrays)))
    rank = round(sparsity * len(ordered))
    found = global_threshold([lambda a=a: a for a in arrays], sparsity)
    assert found == (ordered[rank] if rank < len(ordered) else math.inf)
    assert sum(int(np.sum(np.abs(a) < found)) for a in arrays) <= rank


def test_the_global_threshold_leaves_infinite_values_and_nan_out() -> None:
    array = np.float32([1, 2, 3, 4, np.nan, np.inf, -np.inf])
    assert global_threshold([lambda: array], 0.5) == 3


def test_each_array_is_read_twice_and_only_one_is_held() -> None:
    reads = []

    def reader(index: int) -> np.ndarray:
        reads.append(index)
        return noise(100, seed=index)

    global_threshold([lambda i=i: reader(i) for i in range(3)], 0.5)
    assert reads == [0, 1, 2, 0, 1, 2]


def test_a_global_share_is_met_exactly_where_no_values_are_equal() -> None:
    arrays = [noise(1000, seed=i) * np.float32(i + 1) for i in range(5)]
    limit = global_threshold([lambda a=a: a for a in arrays], 0.7)
    assert sum(keep_above(a, limit).nonzeros for a in arrays) == 1500


def lamp_scores(weight: np.ndarray) -> np.ndarray:
    """By definition: each square over the sum of those at least as large, in ascending order."""
    squares = np.sort(weight.astype(np.float64).reshape(-1) ** 2)
    return squares / np.cumsum(squares[::-1])[::-1]


@pytest.mark.parametrize("sparsity", [0.2, 0.5, 0.9])
def test_lamp_shares_are_those_of_the_definition_within_the_precision_of_the_scores(sparsity: float) -> None:
    random = np.random.default_rng(0)
    weights = [random.standard_normal((64, 100)).astype(np.float32) * scale for scale in (0.1, 1, 5)]
    weights.append(random.standard_t(2, (50, 90)).astype(np.float32))
    scores = [lamp_scores(weight) for weight in weights]
    limit = np.quantile(np.concatenate(scores), sparsity)
    shares = lamp_shares([lambda w=w: w for w in weights], sparsity)
    for share, score in zip(shares, scores, strict=True):
        # a magnitude is known within 0.4 %, a score within 1.6 %: values that close to the limit may go either way
        assert np.mean(score < limit * 0.984) - 1e-3 <= share <= np.mean(score < limit * 1.016) + 1e-3


def test_lamp_shares_add_up_to_the_share_that_was_asked_for() -> None:
    weights = [np.ones((7, 9), np.float32), np.zeros((5, 5), np.float32), np.arange(40, dtype=np.float32)]
    shares = lamp_shares([lambda w=w: w for w in weights], 0.4)
    zeros = [share * weight.size for share, weight in zip(shares, weights, strict=True)]
    assert sum(zeros) == pytest.approx(round(0.4 * (63 + 25 + 40)))
    assert zeros[1] == 25  # what is zero already goes first
    assert lamp_shares([], 0.5) == []
