"""Fitted steps: the best step for its codes by the definition, and never a larger error than before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nncompress.numerics.affine import quantize
from nncompress.numerics.grid import Grid, grids_to_try
from nncompress.numerics.held import Store
from nncompress.numerics.refit import refitted
from tests.models import noise


def codes_of(flat: np.ndarray, grid: Grid) -> np.ndarray:
    """Without the zero point."""
    step, zero = grid.step.astype(float)[:, None], grid.zero_points(grid.step)[:, None]
    return np.clip(np.rint(flat / step), grid.smallest - zero, grid.largest - zero)


def error(flat: np.ndarray, grid: Grid, importance: np.ndarray | float) -> np.ndarray:
    """Of each channel."""
    errors = flat - codes_of(flat, grid) * grid.step.astype(float)[:, None]
    return np.asarray((errors**2 * importance).sum(axis=(0, 2)))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("channels", [5, 3000])
def test_no_channel_gets_worse_and_each_step_fits_its_codes(
    bits: int, weighted: bool, symmetric: bool, channels: int
) -> None:
    flat = noise(2, channels, 50) + np.float32(0 if symmetric else 0.5)
    importance = np.abs(noise(1, 1, 50, seed=1)) + np.float32(0.1) if weighted else None
    (grid,) = grids_to_try(flat, bits, True, symmetric, "mse", importance)
    fitted = refitted(flat, grid, importance)
    counts = 1.0 if importance is None else importance
    before, after = error(flat, grid, counts), error(flat, fitted, counts)
    assert (after <= before * (1 + 1e-5)).all()
    assert after.sum() < before.sum()
    flat, fitted = flat[:, :5], replace(fitted, low=fitted.low[:5], high=fitted.high[:5])
    for _ in range(100):  # until codes stay as they are
        fitted = refitted(flat, fitted, importance)
    codes = codes_of(flat, fitted)
    best = (flat * codes * counts).sum(axis=(0, 2)) / (codes**2 * counts).sum(axis=(0, 2))
    np.testing.assert_allclose(fitted.step, best, rtol=1e-4)


def test_a_channel_of_zeros_keeps_its_step() -> None:
    flat = np.zeros((1, 2, 9), np.float32)
    flat[0, 1] = noise(9)
    (grid,) = grids_to_try(flat, 3, True, True, "mse", None)
    assert refitted(flat, grid).step[0] == grid.step[0]


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_fewer_bits_are_never_better(bits: int) -> None:
    weight = noise(64, 40)
    noises = [
        quantize(weight, (0,), bits=b, signed=True, symmetric=True, range_="mse", store=Store()).noise
        for b in (bits, bits + 1)
    ]
    assert noises[1] < noises[0] / 2
