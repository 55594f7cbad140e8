"""Errors count as often as what they are multiplied by says: the same as if the values stood there so many times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics.affine import Quantized, quantize
from nncompress.numerics.channels import channel_view
from nncompress.numerics.clipping import mirrored, narrow_range, value_range
from nncompress.numerics.equalise import equalised
from nncompress.numerics.held import Store
from nncompress.numerics.importance import DAMPING, importance_of, importance_view, weighted_sum
from tests.models import noise


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 1), (4, 1, 1), (4, 5, 1), (1, 1, 6), (4, 5, 6)])
def test_a_view_stands_where_the_values_stand(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    weight, importance = noise(4, 5, 6), noise(*shape, seed=1)
    flat, _ = channel_view(weight, axes)
    seen = importance_view(importance, weight.shape, axes)
    whole, _ = channel_view(np.array(np.broadcast_to(importance, weight.shape)), axes)
    assert np.array_equal(np.broadcast_to(seen, flat.shape), whole)


def test_importance_has_mean_one_and_no_input_counts_nothing() -> None:
    importance = importance_of(np.array([0, 1, 3.0]))
    assert importance is not None
    assert importance.mean() == pytest.approx(1)
    assert np.allclose(importance * (1 + DAMPING), [DAMPING, 0.75 + DAMPING, 2.25 + DAMPING])


@pytest.mark.parametrize("squares", [np.zeros(3), np.array([1, np.inf]), np.array([np.nan, 1]), np.zeros(0)])
def test_what_says_nothing_is_none(squares: np.ndarray) -> None:
    assert importance_of(squares) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_range_is_that_of_values_that_stand_there_so_many_times(seed: int, symmetric: bool, alike: bool) -> None:
    """Values repeated along the last axis of [before, channels, after], against counts of them."""
    rng = np.random.default_rng(seed)
    flat = rng.standard_t(2, (2, 3, 50)).astype(np.float32)
    counts = rng.integers(1, 6, 50)
    repeated = np.repeat(flat, counts, axis=2)
    low, high = value_range(flat)
    limits = mirrored(low, high) if symmetric else (low, high)
    importance = counts.reshape(1, 1, -1).astype(np.float32)
    importance = importance if alike else np.broadcast_to(importance, flat.shape)
    found, expected = narrow_range(flat, *limits, 30, importance), narrow_range(repeated, *limits, 30)
    assert np.allclose(found, expected, rtol=1e-6)


def made(weight: np.ndarray, importance: np.ndarray | None = None) -> Quantized:
    return quantize(
        weight, (1,), bits=8, signed=True, symmetric=True, range_="mse", store=Store(), importance=importance
    )


def test_the_weighted_noise_is_the_sum_by_definition() -> None:
    weight, importance = noise(300, 20), np.square(noise(300, 1, seed=1))
    found = made(weight, importance)
    errors = (weight - found.affine.decode()).astype(np.float64)
    assert found.weighted_noise == pytest.approx(float((errors**2 * importance).sum()), rel=1e-4)
    assert weighted_sum(errors, importance) == pytest.approx(float((errors**2 * importance).sum()), rel=1e-9)
    plain = made(weight)
    assert plain.weighted_noise == plain.noise


def test_a_second_scale_is_judged_by_what_counts() -> None:
    """It makes room for all but one input; where nothing but that one counts, there is nothing to gain."""
    weight = noise(64, 200)
    weight[3] *= 100

    def again(other: np.ndarray, importance: np.ndarray | None) -> Quantized:
        return made(other, importance)

    assert equalised(weight, made(weight), 0, again).affine.input_scale is not None
    importance = np.full((64, 1), 1e-9, np.float32)
    importance[3] = 1
    start = made(weight, importance)
    assert equalised(weight, start, 0, again, importance=importance) is start
