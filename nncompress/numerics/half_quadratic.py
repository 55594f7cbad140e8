"""Steps and zero points that leave most values nearly exact, at the price of a few larger errors, without data.

Half-quadratic quantization (Badri and Shaji, 2023, "Half-Quadratic Quantization of Large Machine Learning Models")
minimises sum |w - s (q - z)|^p, p < 1, of a channel by splitting the error, in steps r = w / s - (q - z), into e and
the rest, with a beta that grows from round to round:

    min over e, s, z of  sum |e|^p + beta / 2 (r - e)^2

    e = sign(r) max(0, |r| - |r|^(p - 1) / beta)                       generalised soft threshold
    s <- s (1 + a),  z <- z - b / (1 + a)                              the least squares of r - e ~ a (q - z) + b

With integer zero points, another z changes little but what is clipped (the paper keeps s, and its z is a float): s is
fitted with it, then z is rounded down and up, and s fitted again; for symmetric grids b = 0 throughout. The best of
all rounds is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nncompress.numerics.channels import blocks
from nncompress.numerics.grid import Grid

P = 0.7
# The thresholds, beta^(1 / (p - 2)), fall from 0.17 to 0.04 steps. From 0.73 on, and with three times the a and b, the
# sum gets up to a sixth smaller than that, and real models come out much worse: ever more is clipped.
_BETAS = 10 * 1.1 ** np.arange(20)
_LEAST_FACTOR, _MOST_FACTOR = 0.5, 2.0  # of a step in one round
_LEAST_SPREAD = 1e-3  # of codes, squared: with less, they tell z but not s
_TINY = 1e-20  # of an error: its power is finite, and times it nothing
_AT_A_TIME = 1 << 20  # values of a channel


def half_quadratic(flat: np.ndarray, grid: Grid) -> Grid:
    """The grid with another step, and zero point if it has any, for each channel whose sum |w - decoded|^P that lowers.

    `flat` is [before, channels, after]; zero points stay integers that are codes.
    """
    step = grid.step.astype(np.float64)
    start = _Fit(step, np.broadcast_to(grid.zero_points(grid.step), step.shape).astype(np.float64))
    first = _sums(flat, grid, start, _BETAS[0]).objective
    best, least = start, first
    for fit in [start] if grid.symmetric else _rounded(_with_real_zeros(flat, grid, start)):
        for beta in (*_BETAS, _BETAS[-1]):
            sums = _sums(flat, grid, fit, beta)
            new = sums.objective < least
            best = _Fit(np.where(new, fit.step, best.step), np.where(new, fit.zero, best.zero))
            least = np.minimum(sums.objective, least)
            fit = _Fit(_moved(fit.step, _quotient(sums.products, sums.squares, 0)), fit.zero)
    ends = [(end - best.zero) * best.step for end in (grid.smallest, grid.largest)]
    better = least < first
    return replace(grid, low=np.where(better, ends[0], grid.low), high=np.where(better, ends[1], grid.high))


@dataclass(frozen=True)
class _Fit:
    """s, which float32 holds, and z, a real number: float64 [channels]."""

    step: np.ndarray
    zero: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Of each channel, float64 [channels]; with d = r - e and c = q - z."""

    objective: np.ndarray  # sum |w - s (q - z)|^P
    left: np.ndarray  # mean d
    codes: np.ndarray  # mean c
    products: np.ndarray  # mean d c
    squares: np.ndarray  # mean c^2


def _with_real_zeros(flat: np.ndarray, grid: Grid, fit: _Fit) -> _Fit:
    for beta in _BETAS:
        sums = _sums(flat, grid, fit, beta)
        spread = sums.squares - sums.codes**2
        a = _quotient(sums.products - sums.codes * sums.left, spread, _LEAST_SPREAD)
        b = sums.left - a * sums.codes
        zero = fit.zero - b / np.maximum(1 + a, _LEAST_FACTOR)
        fit = _Fit(_moved(fit.step, a), np.clip(zero, grid.smallest, grid.largest))
    return fit


def _rounded(fit: _Fit) -> list[_Fit]:
    return [replace(fit, zero=np.floor(fit.zero)), replace(fit, zero=np.ceil(fit.zero))]


def _sums(flat: np.ndarray, grid: Grid, fit: _Fit, beta: float) -> _Sums:
    sums = np.zeros((5, flat.shape[1]))
    step, zero = (each.astype(flat.dtype)[:, None] for each in (fit.step, fit.zero))
    for rows, part in blocks(flat):
        for start in range(0, flat.shape[2], _AT_A_TIME):
            r = flat[rows, part, start : start + _AT_A_TIME] / step[part]
            c = np.clip(np.rint(r + zero[part]), grid.smallest, grid.largest) - zero[part]
            r -= c
            size = np.abs(r)
            powers = np.maximum(size, _TINY) ** (P - 1)
            d = np.copysign(np.minimum(size, powers / beta), r)  # r - e
            for total, values in zip(sums, (size * powers, d, c, d * c, c * c), strict=True):
                total[part] += values.sum(axis=0).sum(axis=-1)
    return _Sums(sums[0] * fit.step**P, *(sums[1:] / max(1, flat.shape[0] * flat.shape[2])))


def _quotient(above: np.ndarray, below: np.ndarray, least: float) -> np.ndarray:
    """0 where what is below is no more than `least`."""
    quotient: np.ndarray = np.divide(above, below, out=np.zeros(len(above)), where=below > least)
    return quotient


def _moved(step: np.ndarray, a: np.ndarray) -> np.ndarray:
    """s (1 + a), as float32 has it."""
    longer, limits = step * np.clip(1 + a, _LEAST_FACTOR, _MOST_FACTOR), np.finfo(np.float32)
    moved: np.ndarray = np.clip(longer, limits.tiny, limits.max).astype(np.float32).astype(np.float64)
    return moved
