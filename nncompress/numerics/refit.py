"""Scales of few levels, fitted to the values that they stand for: least squares and rounding in turns (Lloyd, 1982).

    q = clip(rint(w / s)),    s = sum w q / sum q^2

Each of both steps can only lower sum (w - s q)^2. With many levels, a range that was found otherwise is as good.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nncompress.numerics.channels import blocks
from nncompress.numerics.grid import Grid

MOST_BITS = 6  # from 7 on, nothing is to be gained
_ROUNDS = 3


def refitted(flat: np.ndarray, grid: Grid, importance: np.ndarray | None = None) -> Grid:
    """The grid with its steps fitted to `flat` [before, channels, after]; a zero point stays the integer that it is.
    `importance`: as in `quantize`."""
    for _ in range(_ROUNDS):
        factor = _factor(flat, grid, importance)[:, None]
        ends = np.stack([grid.low, grid.high], axis=1) * factor
        grid = replace(grid, low=ends[:, 0], high=ends[:, 1])
    return grid


def _factor(flat: np.ndarray, grid: Grid, importance: np.ndarray | None) -> np.ndarray:
    """float64 [channels]: by how much each step has to grow. Sums of a block are those of its type."""
    channels = flat.shape[1]
    products, squares = np.zeros(channels), np.zeros(channels)
    counts = None if importance is None else np.broadcast_to(importance, flat.shape)
    step = grid.step.astype(flat.dtype)[:, None]
    zero = grid.zero_points(grid.step).astype(flat.dtype)
    ends = [np.broadcast_to(end - zero, channels)[:, None] for end in (grid.smallest, grid.largest)]
    for rows, part in blocks(flat):
        ratios = flat[rows, part] / step[part]
        codes = np.rint(ratios)
        np.maximum(codes, ends[0][part], out=codes)
        np.minimum(codes, ends[1][part], out=codes)
        weighted = codes if counts is None else codes * counts[rows, part]
        products[part] += (weighted * ratios).sum(axis=0).sum(axis=-1)
        squares[part] += (weighted * codes).sum(axis=0).sum(axis=-1)
    # a channel without any code but 0 keeps its step, and so does one whose codes point the other way
    return np.where((products > 0) & (squares > 0), products / np.where(squares > 0, squares, 1), 1.0)
