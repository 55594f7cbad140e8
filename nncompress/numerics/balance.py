"""Scales of few levels that also keep the errors of one output from adding up, where inputs are hardly ever negative.

With inputs x_j of mean m and variance v, independent, the error of one output is

    E (sum_j e_j x_j)^2 = v (sum_j e_j^2 + ratio (sum_j e_j)^2),   ratio = m^2 / v

(Banner, Nahshan and Soudry, 2019, "Post training 4-bit quantization", section 3.3, correct the mean of the errors by an
offset; here the scales of the parts, or blocks, of an output do that, and codes stay codes.) For given codes q, the
best scales s_b of its parts b are, with a = sum w q, c = sum q, d = sum q^2 over a part,

    s_b = a_b / d_b + ratio r c_b / d_b / (1 + ratio sum_b c_b^2 / d_b),   r = sum_b (sum w - c_b a_b / d_b)

so that least squares comes first, and what is left of the sum is shared out where it costs least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nncompress.numerics.channels import blocks
from nncompress.numerics.grid import Grid

LEAST_BITS = 4  # with fewer, real models came out worse as often as better; with zero points, they came out worse
RATIO = 1.0  # a rectified normal variable has 0.47; what is common to the means of all inputs adds to that
_ROUNDS = 3
_MOST = 0.1  # by which a step is moved away from that of least squares: codes would be other ones beyond


def balanced(flat: np.ndarray, grid: Grid, parts: np.ndarray, ratio: float = RATIO) -> Grid:
    """The grid with its steps changed where that lowers sum e^2 + ratio (sum e)^2 of an output.

    `flat` is [before, channels, after]; `parts` (int [channels]) numbers from 0 the output to which each channel
    belongs. Zero points stay the integers that they are; no output has a larger sum than on `grid`.
    """
    best, least = grid, np.full(parts.max(initial=-1) + 1, np.inf)
    for _ in range(_ROUNDS):
        sums = _sums(flat, grid)
        best, least = _better(best, least, grid, _objective(sums, parts, ratio), parts)
        factor = _factors(sums, parts, ratio)
        grid = replace(grid, low=grid.low * factor, high=grid.high * factor)
    return _better(best, least, grid, _objective(_sums(flat, grid), parts, ratio), parts)[0]


@dataclass(frozen=True)
class _Sums:
    """Of each channel, float64 [channels], with codes times steps as q, so that a step of 1 is the one there is."""

    errors: np.ndarray  # sum e
    squares: np.ndarray  # sum e^2
    products: np.ndarray  # a
    codes: np.ndarray  # c
    energies: np.ndarray  # d


def _sums(flat: np.ndarray, grid: Grid) -> _Sums:
    channels = flat.shape[1]
    sums = np.zeros((5, channels))
    step = grid.step.astype(flat.dtype)[:, None]
    zero = grid.zero_points(grid.step).astype(flat.dtype)
    ends = [np.broadcast_to(end - zero, channels)[:, None] for end in (grid.smallest, grid.largest)]
    for rows, part in blocks(flat):
        ratios = flat[rows, part] / step[part]
        q = np.clip(np.rint(ratios), ends[0][part], ends[1][part])
        e = ratios - q
        for total, values in zip(sums, (e, e * e, ratios * q, q, q * q), strict=True):
            total[part] += values.sum(axis=0).sum(axis=-1)
    once, twice = grid.step.astype(np.float64), grid.step.astype(np.float64) ** 2
    return _Sums(sums[0] * once, sums[1] * twice, sums[2] * twice, sums[3] * once, sums[4] * twice)


def _objective(sums: _Sums, parts: np.ndarray, ratio: float) -> np.ndarray:
    """sum e^2 + ratio (sum e)^2 of each output."""
    objective: np.ndarray = np.bincount(parts, sums.squares) + ratio * np.bincount(parts, sums.errors) ** 2
    return objective


def _better(
    best: Grid, least: np.ndarray, grid: Grid, objective: np.ndarray, parts: np.ndarray
) -> tuple[Grid, np.ndarray]:
    """The better of both grids for each output, and its objective."""
    new = (objective < least)[parts]
    low, high = np.where(new, grid.low, best.low), np.where(new, grid.high, best.high)
    return replace(best, low=low, high=high), np.minimum(objective, least)


def _factors(sums: _Sums, parts: np.ndarray, ratio: float) -> np.ndarray:
    """By how much each step has to grow; a channel without any code but 0 keeps its step."""
    open_ = (sums.products > 0) & (sums.energies > 0)
    energies = np.where(open_, sums.energies, 1.0)
    fitted = np.where(open_, sums.products / energies, 1.0)
    shares = np.where(open_, sums.codes / energies, 0.0)
    left = np.bincount(parts, sums.errors + sums.codes * (1 - fitted))
    slack = 1 + ratio * np.bincount(parts, sums.codes * shares)
    moved = ratio * shares * (left / slack)[parts]
    factors: np.ndarray = fitted + np.clip(moved, -_MOST, _MOST)
    return factors
