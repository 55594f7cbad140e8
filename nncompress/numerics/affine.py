"""Affine quantization of a weight: w ~ scale * (q - zero_point) with q an integer of `bits` bits.

Notation as in Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (arXiv 1806.08342).
Scales and zero points have the shape of the weight with every axis reduced to 1 but the channel axes, so that they
broadcast. A weight with outliers along an input axis can have a second scale along that axis (see
equalise.py). Everything works on blocks that fit a processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

from nncompress.numerics.channels import blocks, channel_view, undo_view
from nncompress.numerics.clipping import mirrored, narrow_range, value_range
from nncompress.numerics.held import Held, Plain, Store
from nncompress.numerics.scales import MOST_LOSS_DB, Kind, affordable, pays_zero_points
from nncompress.numerics.sqnr import decibels

Range = Literal["minmax", "mse"]
_LARGEST_FLOAT = float(np.finfo(np.float32).max) * (1 - 1e-6)
_HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_SAMPLED, _EXACT = 64, 1e-10  # values along each axis that are looked at, and what rounding to float leaves of them
_MANY_NONZEROS = 0.9  # with more zeros, sparse layouts may pay, which take 0 for the code 0
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
    symmetric: bool
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
    symmetric: bool | None,
    range_: Range,
    store: Store,
    dtype: np.dtype | None = None,
    kinds: Sequence[Kind] = (),
) -> Quantized:
    """Codes for `weight` (float32 or float64, finite and within the range of float32), one scale for each index along
    `channel_axes`. `symmetric` as None: whichever is worth it. `dtype`: what the decoded values become at the end;
    None: that of `weight`. `kinds`: what scales may be stored as besides float32."""
    flat, kept_shape = channel_view(weight, channel_axes)
    half = dtype if dtype in _HALVES else None
    grid = _best_grid(flat, bits, signed, symmetric, range_)
    scale, zero_point = affine_parameters(grid, half=half, kinds=kinds, codes=flat.size, exact=_holds(grid, flat))
    codes = np.empty(flat.shape, np.int8 if signed else np.uint8)
    signal, noise, nonzeros = _fill(flat, scale, zero_point, grid, codes, half)
    zeros = _in_shape(zero_point, kept_shape) if zero_point.any() else None
    affine = Affine(
        store.hold(undo_view(codes, weight.shape, channel_axes)), _in_shape(scale, kept_shape), zeros,
        weight.shape, weight.shape, signed, bits, nonzeros,
    )  # fmt: skip
    return Quantized(affine, grid.symmetric, signal, noise)


@dataclass(frozen=True)
class Grid:
    """The codes `smallest` to `largest`, and the values of each channel that they cover: float64 [channels]."""

    smallest: int
    largest: int
    low: np.ndarray
    high: np.ndarray
    symmetric: bool

    @property
    def step(self) -> np.ndarray:
        """float32, never 0 or denormal."""
        steps = self.largest - self.smallest
        least = np.finfo(np.float32).tiny * steps
        step: np.ndarray = (np.maximum(self.high - self.low, least) / steps).astype(np.float32)
        return step


def _best_grid(flat: np.ndarray, bits: int, signed: bool, symmetric: bool | None, range_: Range) -> Grid:
    """The one asked for; otherwise the symmetric one, unless zero points are worth their bytes.

    The noise of a result is that of the weights times what the inputs are, for either grid: no data are needed to
    compare them.
    """
    low, high = value_range(flat)

    def grid(symmetric: bool) -> Grid:
        ends = levels(bits, signed=signed, symmetric=symmetric)
        limits = mirrored(low, high) if symmetric else (low, high)
        limits = narrow_range(flat, *limits, ends[1] - ends[0]) if range_ == "mse" else limits
        return Grid(*ends, *limits, symmetric)

    if symmetric is not None:
        return grid(symmetric)
    plain, shifted = grid(True), grid(False)
    if _holds(plain, flat):
        return plain
    worth = pays_zero_points(shifted.step, plain.step, high > low, flat.size)
    return shifted if worth and np.count_nonzero(flat) > _MANY_NONZEROS * flat.size else plain


def _holds(grid: Grid, flat: np.ndarray) -> bool:
    """True where a sample of the values lies on the grid: they were rounded before, and another one would lose them."""
    channels = slice(None, None, max(1, flat.shape[1] // _SAMPLED))
    sample = flat[:_SAMPLED, channels, :_SAMPLED].astype(np.float64)
    step = grid.step[channels, None].astype(np.float64)
    error = sample - step * np.rint(sample / step)
    return float((error**2).sum()) <= _EXACT * float((sample**2).sum())


def affine_parameters(
    grid: Grid, *, half: np.dtype | None = None, kinds: Sequence[Kind] = (), codes: int = 0, exact: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Scales (float32, never 0 or denormal) and zero points (int32), one for each channel or one for all of them.

    No code decodes to an infinite value, also not where it is rounded to the type `half` afterwards. `kinds` and
    `codes` as in `affordable`; `exact`: nothing may be lost by them.
    """
    smallest, largest, limit = grid.smallest, grid.largest, _LARGEST_FLOAT if half is None else largest_finite(half)
    farthest = limit / (largest - smallest)
    kinds = kinds if grid.symmetric else tuple(kind for kind in kinds if kind != "one")
    scale = grid.step
    if kinds:
        most_loss_db = 0.0 if exact else MOST_LOSS_DB
        scale = affordable(scale, grid.high > grid.low, codes, kinds, farthest, most_loss_db).values
    zero = np.full(1, (smallest + largest) // 2, np.int32)
    if not grid.symmetric:
        places = smallest - grid.low / scale.astype(np.float64)
        zero = np.clip(np.rint(places), smallest, largest).astype(np.int32)
    if (scale <= farthest).all():
        return scale, zero
    reach = np.maximum(largest - zero, zero - smallest)  # steps to the farthest code, which must stay a float
    return np.minimum(scale, np.float32(limit) / reach.astype(np.float32)), zero


def _in_shape(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One number for each channel, or for all of them, in a shape that broadcasts to the codes."""
    return numbers.reshape([1] * len(shape) if len(numbers) == 1 else shape)


def _fill(
    flat: np.ndarray, scale: np.ndarray, zero: np.ndarray, grid: Grid, codes: np.ndarray, half: np.dtype | None
) -> tuple[float, float, int]:
    """Writes the codes; returns the sums of squares of values and errors, and how many codes mean non-zero."""
    signal = noise = 0.0
    nonzeros = 0
    channels = flat.shape[1]
    offset = np.broadcast_to(zero, channels).astype(flat.dtype)[:, None] if zero.any() else None
    step = np.broadcast_to(scale, channels).astype(flat.dtype)[:, None]
    for rows, part in blocks(flat):
        block = flat[rows, part]
        q = block / step[part]
        np.rint(q, out=q)
        if offset is not None:
            q += offset[part]
        np.clip(q, grid.smallest, grid.largest, out=q)
        codes[rows, part] = q
        if offset is not None:
            q -= offset[part]
        nonzeros += int(np.count_nonzero(q))
        q *= step[part]
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
