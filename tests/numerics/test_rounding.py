"""Rounding of activations against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nncompress.numerics.rounding import rounding_for

LARGEST = float(np.finfo(np.float32).max)
ends = st.floats(-LARGEST, LARGEST, width=32)


@given(ends, ends)
def test_the_range_is_covered_but_for_half_a_step_and_zero_is_exact(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    rounding = rounding_for(low, high)
    assert 0 <= rounding.zero_point <= 255
    assert rounding.scale == np.float32(rounding.scale) >= np.finfo(np.float32).tiny
    slack = 0.5 * rounding.scale * (1 + 1e-4)
    assert rounding.low <= min(low, 0.0) + slack
    assert rounding.high >= max(high, 0.0) - slack
    assert rounding.low <= 0 <= rounding.high


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (-2.5, 0.0), (2.0, 5.0), (-5.0, -2.0), (-1e-3, 1e3)]
)
def test_no_other_scale_and_zero_point_covers_it_in_smaller_steps(low: float, high: float) -> None:
    rounding = rounding_for(low, high)
    values = np.linspace(low, high, 2001)
    codes = np.clip(np.rint(values / rounding.scale) + rounding.zero_point, 0, 255)
    errors = np.abs((codes - rounding.zero_point) * rounding.scale - values)
    assert errors.max() <= rounding.scale  # half a step, and as much where an end is clipped
    least = min(  # over all zero points, the smallest scale that leaves at most half a step beyond either end
        max(-min(low, 0.0) / (zero + 0.5), max(high, 0.0) / (255 - zero + 0.5)) for zero in range(256)
    )
    assert least <= rounding.scale <= least * 256 / 255 * (1 + 1e-6)


def test_of_nothing_but_zeros_it_is_a_scale_that_runtimes_take() -> None:
    rounding = rounding_for(0.0, 0.0)
    assert (rounding.zero_point, rounding.scale) == (0, float(np.finfo(np.float32).tiny))
