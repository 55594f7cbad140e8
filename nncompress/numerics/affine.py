"""Affine quantization of a weight: w ~ scale * (q - zero_point) with q an integer of `bits` bits.

Notation as in Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (arXiv 1806.08342).
Scales and zero points have the shape of the weight with every axis reduced to 1 but the channel axes, so that they
broadcast. A weight with outliers along an input axis can have a second scale along that axis (see
equalise.py). Everything works on blocks that fit a processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

from nncompress.numerics.channels import blocks, channel_view, undo_view
from nncompress.numerics.clipping import narrow_range, value_range
from nncompress.numerics.held import Held, Plain, Store
from nncompress.numerics.sqnr import decibels

Range = Literal["minmax", "mse"]
_LARGEST_FLOAT = float(np.finfo(np.float32).max) * (1 - 1e-6)
_HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_SMALLEST_SUM, _LARGEST_SUM = 1e-25, 1e35  # of squares in single precision


@dataclass(frozen=True)
class Affine:
    """A weight as integers: `codes` (int8 or uint8, of `codes_shape`), `scale` (float32) and `zero_point` (int32, or
    None where it is 0), both broadcasting against the codes, as `input_scale` (float32) if there is one.

    `codes_shape` is `shape`, that of the weight, or another one of as many elements in the same order."""

    codes: Held
    scale: np.ndarray
    zero_point: np.ndarray | None
    shape: tuple[int, ...]
    codes_shape: tuple[int, ...]
    signed: bool
    bits: int
    nonzeros: int
    input_scale: np.ndarray | None = None

    @property
    def code_type(self) -> np.dtype:
        """int8 or uint8."""
        return np.dtype(np.int8 if self.signed else np.uint8)

    def decode(self) -> np.ndarray:
        """The values as float32."""
        out = self.codes.load().astype(np.float32)
        if self.zero_point is not None:
            out -= self.zero_point.astype(np.float32)
        out *= self.scale
        if self.input_scale is not None:
            out *= self.input_scale
        return out.reshape(self.shape)

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`, as float32."""
        index = np.unravel_index(places, self.codes_shape)

        def at_places(parameter: np.ndarray) -> np.ndarray:
            return np.broadcast_to(parameter, self.codes_shape)[index].astype(np.float32)

        out: np.ndarray = self.codes.load()[index].astype(np.float32)
        if self.zero_point is not None:
            out -= at_places(self.zero_point)
        out *= at_places(self.scale)
        if self.input_scale is not None:
            out *= at_places(self.input_scale)
        return out

    def arrays(self) -> Mapping[str, Held]:
        """The codes, and the parameters that there are."""
        parameters = {"scale": self.scale, "zero_point": self.zero_point, "input_scale": self.input_scale}
        return {"codes": self.codes, **{name: Plain(array) for name, array in parameters.items() if array is not None}}


@dataclass(frozen=True)
class Quantized:
    """What `quantize` made, and how well: sums of squares in float64."""

    affine: Affine
    signal: float  # sum of w^2
    noise: float  # sum of (w - decoded)^2

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where nothing was lost."""
        return decibels(self.signal, self.noise)


def levels(bits: int, *, signed: bool, symmetric: bool) -> tuple[int, int]:
    """Smallest and largest code; symmetric ranges leave out the most negative one, so that -w codes as -q."""
    if not signed:
        return (1 if symmetric else 0), 2**bits - 1
    return -(2 ** (bits - 1)) + symmetric, 2 ** (bits - 1) - 1


def quantize(
    weight: np.ndarray,
    channel_axes: tuple[int, ...],
    *,
    bits: int,
    signed: bool,
    symmetric: bool,
    range_: Range,
    store: Store,
    dtype: np.dtype | None = None,
) -> Quantized:
    """Codes for `weight` (float32 or float64, finite and within the range of float32), one scale for each index along
    `channel_axes`. `dtype`: what the decoded values become at the end; None: that of `weight`."""
    flat, kept_shape = channel_view(weight, channel_axes)
    low, high = value_range(flat, symmetric=symmetric)
    smallest, largest = levels(bits, signed=signed, symmetric=symmetric)
    if range_ == "mse":
        low, high = narrow_range(flat, low, high, largest - smallest)
    half = dtype if dtype in _HALVES else None
    scale, zero_point = affine_parameters(low, high, smallest, largest, symmetric=symmetric, half=half)
    codes = np.empty(flat.shape, np.int8 if signed else np.uint8)
    signal, noise, nonzeros = _fill(flat, scale, zero_point, smallest, largest, codes, half)
    as_weight = undo_view(codes, weight.shape, channel_axes)
    zeros = None if not zero_point.any() else zero_point.reshape(kept_shape)
    affine = Affine(
        store.hold(as_weight), scale.reshape(kept_shape), zeros, weight.shape, weight.shape, signed, bits, nonzeros
    )
    return Quantized(affine, signal, noise)


def affine_parameters(
    low: np.ndarray, high: np.ndarray, smallest: int, largest: int, *, symmetric: bool, half: np.dtype | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scale (float32, never 0 or denormal) and zero point (int32) of each channel.

    No code decodes to an infinite value, also not where it is rounded to the type `half` afterwards.
    """
    limit = _LARGEST_FLOAT if half is None else largest_finite(half)
    tiny = np.finfo(np.float32).tiny * (largest - smallest)
    scale = (np.maximum(high - low, tiny) / (largest - smallest)).astype(np.float32)
    if symmetric:
        zero = np.full(len(scale), (smallest + largest) // 2, np.int32)
    else:
        zero = np.clip(np.rint(smallest - low / scale.astype(np.float64)), smallest, largest).astype(np.int32)
    reach = np.maximum(largest - zero, zero - smallest)  # steps to the farthest code, which must stay a float
    return np.minimum(scale, np.float32(limit) / reach.astype(np.float32)), zero


def _fill(
    flat: np.ndarray, scale: np.ndarray, zero: np.ndarray, smallest: int, largest: int, codes: np.ndarray,
    half: np.dtype | None,
) -> tuple[float, float, int]:  # fmt: skip
    """Writes the codes; returns the sums of squares of values and errors, and how many codes mean non-zero."""
    signal = noise = 0.0
    nonzeros = 0
    offset = zero.astype(flat.dtype)[:, None] if zero.any() else None
    step = scale.astype(flat.dtype)[:, None]
    for rows, channels in blocks(flat):
        block = flat[rows, channels]
        q = block / step[channels]
        np.rint(q, out=q)
        if offset is not None:
            q += offset[channels]
        np.clip(q, smallest, largest, out=q)
        codes[rows, channels] = q
        if offset is not None:
            q -= offset[channels]
        nonzeros += int(np.count_nonzero(q))
        q *= step[channels]
        if half is not None:
            q = q.astype(half).astype(block.dtype)
        np.subtract(block, q, out=q)
        noise += sum_of_squares(q)
        signal += sum_of_squares(block)
    return signal, noise, nonzeros


def largest_finite(dtype: np.dtype) -> float:
    """The largest value of a floating-point type, bfloat16 included."""
    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


def sum_of_squares(array: np.ndarray) -> float:
    """In single precision for a block of floats whose squares it can hold, otherwise in double."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype == np.float32:
        with np.errstate(over="ignore"):
            total = float(np.dot(flat, flat))
        if _SMALLEST_SUM < total < _LARGEST_SUM:
            return total
        flat = flat.astype(np.float64)
    return float(np.dot(flat, flat))
