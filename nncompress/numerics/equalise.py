"""A second scale along an input axis, for weights in which a few inputs have much larger values than the others.

    w[k, n] ~ input_scale[k] * scale[n] * q,    input_scale[k] = (max_n |w[k, n]|)^(1/2), geometric mean 1

One scale for each output channel alone spends the range of the integers on the largest input. The square root splits a
range between both axes, as in cross-layer equalisation (Nagel et al., "Data-free quantization", arXiv 1906.04721), but
within one weight and without touching any other layer: the factor is stored and multiplied back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nncompress.numerics.affine import Quantized, sum_of_squares
from nncompress.numerics.importance import weighted_sum
from nncompress.numerics.sqnr import decibels

WORTH_TRYING_DB = 40.0  # a Gaussian weight quantizes to about 42 dB; below this, outliers are at work
LEAST_GAIN_DB = 1.0  # and one more for each percent that the second scale adds to the codes
LARGEST = 1 << 25  # elements: two more copies of the weight are needed for a moment
_SHORTEST_AXIS = 8
_SMALLEST_HALF, _LARGEST_HALF = 2.0**-14, 65504.0


def equalised(
    weight: np.ndarray, plain: Quantized, input_axis: int, quantized: Callable[..., Quantized],
    dtype: np.dtype | None = None, importance: np.ndarray | None = None,
) -> Quantized:  # fmt: skip
    """`plain`, or what `quantized` makes of the weight, with a second scale along `input_axis` where that is clearly
    better. `dtype`: what the decoded values become at the end; where they lead beyond what it holds, `plain` it is.
    `importance`: as in `quantize`."""
    plain_db = math.inf if plain.sqnr_db is None else plain.sqnr_db
    worth = plain_db < WORTH_TRYING_DB and weight.size <= LARGEST
    if not worth or weight.shape[input_axis] < _SHORTEST_AXIS:
        return plain
    factor = input_factor(weight, input_axis)
    made = quantized(weight / factor, importance=None if importance is None else importance * factor**2)
    affine = replace(made.affine, input_scale=factor)
    with np.errstate(over="ignore"):
        decoded = affine.decode().astype(dtype or weight.dtype).astype(weight.dtype)
    if not np.isfinite([decoded.max(), decoded.min()]).all():
        return plain
    errors = weight - decoded
    noise = sum_of_squares(errors)
    weighted = noise if importance is None else weighted_sum(errors, importance)
    gain_db, percent = decibels(plain.weighted_noise, weighted), 100 * factor.nbytes / weight.size
    if gain_db is not None and gain_db <= LEAST_GAIN_DB + percent:
        return plain
    return Quantized(affine, made.symmetric, plain.signal, noise, weighted)


def input_factor(weight: np.ndarray, axis: int) -> np.ndarray:
    """float32, 1 along every axis but `axis`; 1 for inputs whose weights are all zero. As float16 has them, where that
    reaches: they are stored in half the bytes then, and the codes make up for the rounding."""
    others = tuple(a for a in range(weight.ndim) if a != axis)
    largest = np.maximum(weight.max(axis=others, keepdims=True), -weight.min(axis=others, keepdims=True))
    logs = np.log(largest, where=largest > 0, out=np.zeros(largest.shape, np.float64))
    used = largest > 0
    mean = logs[used].mean() if used.any() else 0.0
    factor: np.ndarray = np.where(used, np.exp((logs - mean) / 2), 1.0).astype(np.float32)
    reaches = factor.min(initial=1) >= _SMALLEST_HALF and factor.max(initial=1) <= _LARGEST_HALF
    return factor.astype(np.float16).astype(np.float32) if reaches else factor
