"""Half-quadratic steps and zero points: never a larger sum of |error|^p, near the best of a dense search, in range."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics import channels, half_quadratic as module
from nncompress.numerics.affine import quantize
from nncompress.numerics.grid import Grid, grids_to_try
from nncompress.numerics.half_quadratic import P, half_quadratic
from nncompress.numerics.held import Store
from nncompress.numerics.refit import refitted
from tests.models import noise

both = pytest.mark.parametrize("symmetric", [True, False])


def grid_for(flat: np.ndarray, bits: int, symmetric: bool, *, signed: bool = True) -> Grid:
    (grid,) = grids_to_try(flat, bits, signed, symmetric, "mse", None)
    return grid


def objective(flat: np.ndarray, grid: Grid) -> np.ndarray:
    """sum |w - decoded|^p of each channel, by its definition."""
    step, zero = grid.step.astype(np.float64)[:, None], grid.zero_points(grid.step)[:, None]
    codes = np.clip(np.rint(flat / step) + zero, grid.smallest, grid.largest)
    return np.asarray((np.abs(flat - (codes - zero) * step) ** P).sum(axis=(0, 2)))


def rounding(flat: np.ndarray, grid: Grid) -> np.ndarray:
    """What float32 may add to the objective: a unit in the last place of each quotient, to the power of p."""
    largest = np.abs(flat).max(axis=(0, 2), initial=0).astype(np.float64)
    unit = np.finfo(np.float32).eps * np.maximum(largest, grid.step * 2.0**8)
    return np.asarray(flat.shape[0] * flat.shape[2] * unit**P)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 2), st.just(4), st.integers(1, 12)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    st.sampled_from([2, 3, 4, 8]),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_no_channel_gets_a_larger_objective_and_zero_points_are_codes(
    flat: np.ndarray, bits: int, symmetric: bool, signed: bool
) -> None:
    grid = grid_for(flat, bits, symmetric, signed=signed)
    found = half_quadratic(flat, grid)
    assert (objective(flat, found) <= objective(flat, grid) + rounding(flat, grid)).all()
    zeros = found.zero_points(found.step)
    assert ((zeros >= found.smallest) & (zeros <= found.largest)).all()
    if symmetric:
        np.testing.assert_array_equal(found.low, -found.high)


@both
@pytest.mark.parametrize(("bits", "outliers"), [(2, False), (3, False), (3, True)])
def test_a_third_or_more_of_what_a_dense_search_gains_is_gained(bits: int, outliers: bool, symmetric: bool) -> None:
    flat = noise(1, 20, 64, seed=bits) + np.float32(0 if symmetric else 0.7)
    flat[:, :, 0] *= 6 if outliers else 1
    grid = grid_for(flat, bits, symmetric)
    step, zero = grid.step.astype(np.float64), grid.zero_points(grid.step)
    start, best = objective(flat, grid), objective(flat, grid)
    for shift, factor in itertools.product([0] if symmetric else [-2, -1, 0, 1, 2], np.linspace(0.3, 1.5, 61)):
        other = np.clip(zero + shift, grid.smallest, grid.largest)
        ends = [(end - other) * step * factor for end in (grid.smallest, grid.largest)]
        best = np.minimum(best, objective(flat, replace(grid, low=ends[0], high=ends[1])))
    found = objective(flat, half_quadratic(flat, grid))
    assert start.sum() - found.sum() > (start.sum() - best.sum()) / 3
    assert found.sum() < 0.97 * start.sum()


def test_one_round_is_the_least_squares_of_what_is_left_of_thresholded_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BETAS", np.array([12.0]))
    flat = noise(1, 1, 40).astype(np.float64) + 0.3
    step, zero = np.float64(np.float32(0.4)), -1.25
    c = np.clip(np.rint(flat / step + zero), -4, 3) - zero
    r = flat / step - c
    e = np.sign(r) * np.maximum(0, np.abs(r) - np.abs(r) ** (P - 1) / 12)
    assert 0 < np.count_nonzero(e) < e.size
    (a, b), *_ = np.linalg.lstsq(np.stack([c.ravel(), np.ones(c.size)], axis=1), (r - e).ravel())
    fit = module._Fit(np.full(1, step), np.full(1, zero))
    found = module._with_real_zeros(flat, grid_for(flat, 3, False), fit)
    assert found.step[0] == pytest.approx(step * (1 + a), rel=1e-6)
    assert found.zero[0] == pytest.approx(zero - b / (1 + a), rel=1e-6)


def test_values_on_a_lattice_beside_a_few_others_get_the_lattice() -> None:
    """Where least squares spreads the error of the others over all, most values are exact."""
    flat = np.resize(np.arange(-3, 4, dtype=np.float32), (1, 1, 70))
    flat[0, 0, :6] = 4.5
    top = np.full(1, 3 * 1.04)
    grid = Grid(-3, 3, -top, top, True)
    assert refitted(flat, grid).step[0] > 1.05
    assert half_quadratic(flat, grid).step[0] == pytest.approx(1, abs=0.02)


@both
def test_zeros_constants_and_channels_without_values_keep_what_decodes_them(symmetric: bool) -> None:
    flat = np.zeros((1, 3, 8), np.float32)
    flat[0, 1], flat[0, 2] = 2.5, -1e-3
    grid = grid_for(flat, 3, symmetric)
    found = half_quadratic(flat, grid)
    assert (found.low[0], found.high[0]) == (grid.low[0], grid.high[0]) == (0, 0)
    assert (objective(flat, found) <= rounding(flat, grid)).all()
    np.testing.assert_array_equal(half_quadratic(flat[:, :, :0], grid).step, grid.step)


@both
def test_blocks_change_nothing_but_the_order_of_sums(symmetric: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = noise(2, 5, 40)
    grid = grid_for(flat, 4, symmetric)
    whole = half_quadratic(flat, grid)
    np.testing.assert_array_equal(half_quadratic(flat, grid).step, whole.step)
    monkeypatch.setattr(channels, "_BLOCK_ELEMENTS", 100)
    monkeypatch.setattr(module, "_AT_A_TIME", 25)
    np.testing.assert_allclose(objective(flat, half_quadratic(flat, grid)), objective(flat, whole), rtol=0.02)


@both
@pytest.mark.parametrize("axes", [(), (0,), (0, 1)], ids=["tensor", "channel", "block"])
def test_quantize_has_more_nearly_exact_values_than_least_squares(axes: tuple[int, ...], symmetric: bool) -> None:
    weight = noise(6, 4, 64) ** 3
    options = {"bits": 4, "signed": True, "symmetric": symmetric, "store": Store()}

    def errors(range_: str, **more: object) -> np.ndarray:
        made = quantize(weight, axes, range_=range_, **options, **more)  # type: ignore[arg-type]
        assert made.affine.codes.load().min() >= -8
        return np.asarray(np.abs(weight - made.affine.decode()), np.float64)

    least, found = errors("mse"), errors("half-quadratic")
    assert (found**P).sum() < 0.99 * (least**P).sum()
    assert np.median(found) < np.median(least)
    assert (found**2).sum() > (least**2).sum()
    importance = np.linspace(0.1, 9, 64, dtype=np.float32).reshape(1, 1, 64)
    np.testing.assert_array_equal(errors("half-quadratic", importance=importance), found)


def test_what_a_grid_holds_already_stays() -> None:
    weight = np.resize(np.arange(-7, 8), (4, 30)).astype(np.float32) * np.float32(0.37)
    made = quantize(weight, (0,), bits=4, signed=True, symmetric=None, range_="half-quadratic", store=Store())
    assert made.affine.zero_point is None
    np.testing.assert_allclose(made.affine.decode(), weight, rtol=1e-6)
