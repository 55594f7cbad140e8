"""Signal to quantization noise: 10 log10(sum w^2 / sum (w - w')^2), in decibels."""

from __future__ import annotations

import math

import numpy as np

_BLOCK = 1 << 20  # elements that are converted to float64 at a time


def decibels(signal: float, noise: float) -> float | None:
    """Of sums of squares; None where nothing was lost, or nothing was there."""
    return 10 * math.log10(signal / noise) if noise > 0 and signal > 0 else None


def sqnr_db(before: np.ndarray, after: np.ndarray) -> float | None:
    """Of two arrays of the same shape, any real types, finite; sums in float64. None as in `decibels`."""
    return decibels(*signal_and_noise(before, after))


def signal_and_noise(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """sum w^2 and sum (w - w')^2 of two arrays of as many elements in the same order, as above."""
    flat_before, flat_after = before.reshape(-1), after.reshape(-1)
    signal = noise = 0.0
    for start in range(0, len(flat_before), _BLOCK):
        block = flat_before[start : start + _BLOCK].astype(np.float64)
        error = block - flat_after[start : start + _BLOCK].astype(np.float64)
        signal += float(np.dot(block, block))
        noise += float(np.dot(error, error))
    return signal, noise
