"""How much the error of each value of a weight counts: by the mean square of what that value is multiplied by.

    E[(sum_j e_j x_j)^2] ~ sum_j e_j^2 E[x_j^2]

for errors e_j that have nothing to do with each other, as those of rounding: the diagonal of the Gram matrix of x.
"""

from __future__ import annotations

import math

import numpy as np

from nncompress.numerics.channels import channel_view

DAMPING = 0.01  # of the mean, added to all: what an input does not use in a few samples, it may use in others


def importance_of(squares: np.ndarray) -> np.ndarray | None:
    """float32, mean 1, from mean squares of any shape; None where they say nothing."""
    mean = float(squares.mean()) if squares.size else 0.0
    if not (math.isfinite(mean) and mean > 0):
        return None
    importance: np.ndarray = ((squares / mean + DAMPING) / (1 + DAMPING)).astype(np.float32)
    return importance


def importance_view(importance: np.ndarray, shape: tuple[int, ...], channel_axes: tuple[int, ...]) -> np.ndarray:
    """Of a weight of this shape, against which it broadcasts, as something that broadcasts against its
    `channel_view`: all channels are 1 where they are alike."""
    alike = all(importance.shape[axis] == 1 for axis in channel_axes)
    kept = tuple(1 if alike and axis in channel_axes else d for axis, d in enumerate(shape))
    return channel_view(np.broadcast_to(importance, kept), channel_axes)[0]


def weighted_sum(errors: np.ndarray, importance: np.ndarray) -> float:
    """Of the squares of `errors`, which `importance` broadcasts against."""
    return float(np.sum(np.square(errors, dtype=np.float64) * importance))
