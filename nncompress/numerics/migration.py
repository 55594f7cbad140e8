"""Scales that move from the data of a product into its weights, so that both can be rounded with less error.

    x W = (x / s) (s W),    s_j = max |x_j|^a / max_n |W_jn|^(1-a)

(Xiao et al., "SmoothQuant", arXiv 2211.10438, equation 4). The data have one scale for all channels: one with large
values takes the digits of the others. Rounding by steps d is noise of variance d^2 / 12, but 0 stays 0; the error of
the product is, with p_j the share of the x_j that are not 0,

    d_x^2 / 12 * sum_jn p_j (s_j W_jn)^2  +  sum_n d_n^2 / 12 * sum_j E[x_j^2] / s_j^2

where d_x = (max x/s - min x/s) / 255 and d_n = max_j |s_j W_jn| / 127. The exponent a is chosen by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.sqnr import decibels

EXPONENTS = (0.25, 0.5, 0.75, 0.875, 1.0)
_DATA_STEPS, _WEIGHT_STEPS = 255, 127


@dataclass(frozen=True, eq=False)
class Channels:
    """What the channels of data were like on all samples: each float64 [channels], finite."""

    low: np.ndarray
    high: np.ndarray
    squares: np.ndarray  # means of the squares
    density: np.ndarray  # shares of the values that are not 0, which is rounded to itself

    @property
    def largest(self) -> np.ndarray:
        """Magnitudes."""
        return np.asarray(np.maximum(np.abs(self.low), np.abs(self.high)))


@dataclass(frozen=True, eq=False)
class Migration:
    """By what data are divided and the rows of weights multiplied."""

    factor: np.ndarray  # s, float32 [channels]
    exponent: float
    gain_db: float  # by which the error of the products becomes smaller


def best_migration(data: Channels, weights: Sequence[np.ndarray]) -> Migration | None:
    """Of those with one of EXPONENTS the one with the least error of all products; None where nothing can be gained.

    Weights are [groups, channels of a group, positions, outputs of a group], one after the other all channels.
    """
    plain = predicted_error(data, weights, np.ones(len(data.squares)))
    found: list[Migration] = []
    for exponent in EXPONENTS:
        factor = migrating(data, weights, exponent)
        gain_db = decibels(plain, predicted_error(data, weights, factor))
        if gain_db is not None and gain_db > 0:
            found.append(Migration(factor, exponent, gain_db))
    return max(found, key=lambda migration: migration.gain_db, default=None)


def migrating(data: Channels, weights: Sequence[np.ndarray], exponent: float) -> np.ndarray:
    """s, float32 [channels] of geometric mean 1; 1 for channels without data or weights."""
    of_data = data.largest
    magnitudes = [np.abs(weight).max(axis=(2, 3), initial=0).reshape(-1) for weight in weights]
    of_weights = np.max(magnitudes, axis=0).astype(np.float64)
    used = (of_data > 0) & (of_weights > 0)
    logs = np.zeros(len(of_data))
    logs[used] = exponent * np.log(of_data[used]) - (1 - exponent) * np.log(of_weights[used])
    logs[used] -= logs[used].mean() if used.any() else 0.0
    return np.exp(logs).astype(np.float32)


def predicted_error(data: Channels, weights: Sequence[np.ndarray], factor: np.ndarray) -> float:
    """Mean over the samples of the squared error of all products, summed over their channels; of a convolution for one
    position of the result."""
    factor = factor.astype(np.float64)
    low, high = min((data.low / factor).min(), 0.0), max((data.high / factor).max(), 0.0)
    of_data, squares = ((high - low) / _DATA_STEPS) ** 2 / 12, data.squares / factor**2
    error = 0.0
    for weight in weights:
        groups, inputs, positions, _ = weight.shape
        scaled = weight * factor.reshape(groups, inputs, 1, 1)
        of_weights = np.square(np.abs(scaled).max(axis=(1, 2)) / _WEIGHT_STEPS).sum(axis=1) / 12  # [groups]
        seen = squares.reshape(groups, inputs).sum(axis=1) * positions
        shares = data.density.reshape(groups, inputs)
        error += of_data * float((np.square(scaled).sum(axis=(2, 3)) * shares).sum()) + float(of_weights @ seen)
    return error
