"""Half precision: the values of a weight rounded to float16 (11 bits, up to 65504) or bfloat16 (8 bits, the range of
float32), to nearest, ties to even."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from nncompress.numerics.affine import sum_of_squares
from nncompress.numerics.held import Store
from nncompress.numerics.narrow import Narrow
from nncompress.numerics.sqnr import decibels

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
_BLOCK = 1 << 20  # elements that are converted at a time


def rounded_to_half(weight: np.ndarray, dtype: np.dtype, store: Store) -> tuple[Narrow, float | None]:
    """`weight` (float32 or float64, any finite values) as `dtype`, and the SQNR in dB, None where nothing was lost.

    Raises OverflowError where a value would become infinite.
    """
    flat = weight.reshape(-1)
    rounded = np.empty(flat.shape, dtype)
    signal = noise = 0.0
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK]
        with np.errstate(over="ignore"):
            rounded[start : start + _BLOCK] = block
        error = block - rounded[start : start + _BLOCK].astype(block.dtype)
        if not np.isfinite(error).all():
            raise OverflowError(f"a value lies beyond the range of {dtype.name}")
        signal += sum_of_squares(block)
        noise += sum_of_squares(error)
    nonzeros, wide = int(np.count_nonzero(rounded)), np.dtype(np.float32)
    half = Narrow(store.hold(rounded.reshape(weight.shape)), weight.shape, dtype, nonzeros, wide)
    return half, decibels(signal, noise)


def largest_error(before: np.ndarray, after: np.ndarray, units: np.ndarray) -> float:
    """The largest |after - before| / unit (float arrays of one shape); inf where a value with unit 0 has changed."""
    error = np.abs(after.astype(np.float64) - before.astype(np.float64))
    with np.errstate(divide="ignore"):
        ratios = np.divide(error, units, out=np.zeros_like(error), where=error > 0)
    return float(ratios.max(initial=0))
