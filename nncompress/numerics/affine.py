"""Affine quantization of a weight: w ~ scale * (q - zero_point) with q an integer of `bits` bits.

Notation as in Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (arXiv 1806.08342).
Scales and zero points have the shape of the weight with every axis reduced to 1 but the channel axes, so that they
broadcast. A weight with outliers along an input axis can have a second scale along that axis (see
equalise.py). Everything works on blocks that fit a processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np

from nncompress.numerics.balance import LEAST_BITS, balanced
from nncompress.numerics.channels import blocks, channel_view, undo_view
from nncompress.numerics.grid import Grid, Range, affine_parameters, grids_to_try
from nncompress.numerics.half_quadratic import half_quadratic
from nncompress.numerics.held import Held, Plain, Store
from nncompress.numerics.importance import importance_view, weighted_sum
from nncompress.numerics.refit import MOST_BITS, refitted
from nncompress.numerics.scales import Kind, pays_zero_points
from nncompress.numerics.sqnr import decibels, signal_and_noise

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
    symmetric: bool
    signal: float  # sum of w^2
    noise: float  # sum of (w - decoded)^2
    weighted_noise: float  # the same with each square as often as it counts

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where nothing was lost."""
        return decibels(self.signal, self.noise)


def against(weight: np.ndarray, made: Quantized) -> Quantized:
    """The same, judged by `weight`, the values that there were before others took their place."""
    signal, noise = signal_and_noise(weight, made.affine.decode())
    return replace(made, signal=signal, noise=noise, weighted_noise=noise)


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
    importance: np.ndarray | None = None,
    outputs: np.ndarray | None = None,
) -> Quantized:
    """Codes for `weight` (float32 or float64, finite and within the range of float32), one scale for each index along
    `channel_axes`. `symmetric` as None: whichever is worth it. `dtype`: what the decoded values become at the end;
    None: that of `weight`. `kinds`: what scales may be stored as besides float32. `importance`: how often the squared
    error of each value counts, broadcasting against `weight`; it decides then on range (mse) and zero points.
    `outputs`: where inputs have one sign, the output to which each channel belongs (see `balanced`), without
    `importance` (mse)."""
    flat, kept_shape = channel_view(weight, channel_axes)
    half = dtype if dtype in _HALVES else None
    counts = None if importance is None else importance_view(importance, weight.shape, channel_axes)
    grids = grids_to_try(flat, bits, signed, symmetric, range_, counts)
    if bits <= MOST_BITS and range_ == "mse":
        grids = [grid if grid.holds(flat) else refitted(flat, grid, counts) for grid in grids]
        if outputs is not None and counts is None and bits >= LEAST_BITS:
            grids = [balanced(flat, g, outputs) if g.symmetric and not g.holds(flat) else g for g in grids]
    if range_ == "half-quadratic":
        grids = [grid if grid.holds(flat) else half_quadratic(flat, grid) for grid in grids]
    tried = [_coded(flat, grid, half, kinds, counts) for grid in grids]
    made = tried[-1] if len(tried) > 1 and _worth_it(*tried) else tried[0]
    sums = made.sums
    zeros = _in_shape(made.zero, kept_shape) if made.zero.any() else None
    affine = Affine(
        store.hold(undo_view(made.codes, weight.shape, channel_axes)), _in_shape(made.scale, kept_shape), zeros,
        weight.shape, weight.shape, signed, bits, sums.nonzeros,
    )  # fmt: skip
    return Quantized(affine, made.grid.symmetric, sums.signal, sums.noise, sums.weighted_noise)


@dataclass(frozen=True)
class _Coded:
    """A weight as codes on one grid: they are [before, channels, after], as it is itself."""

    grid: Grid
    scale: np.ndarray
    zero: np.ndarray
    codes: np.ndarray
    sums: _Sums


@dataclass(frozen=True)
class _Sums:
    """Of squares of values and of errors, of errors as often as they count, and of codes that mean non-zero."""

    signal: float
    noise: float
    weighted_noise: float
    nonzeros: int


def _coded(
    flat: np.ndarray, grid: Grid, half: np.dtype | None, kinds: Sequence[Kind], importance: np.ndarray | None
) -> _Coded:
    scale, zero = affine_parameters(grid, half=half, kinds=kinds, codes=flat.size, exact=grid.holds(flat))
    codes = np.empty(flat.shape, np.int8 if grid.smallest < 0 else np.uint8)
    return _Coded(grid, scale, zero, codes, _fill(flat, scale, zero, grid, codes, half, importance))


def _worth_it(plain: _Coded, shifted: _Coded) -> bool:
    """True if the zero points of `shifted` are."""
    before, after = plain.sums.weighted_noise, shifted.sums.weighted_noise
    gain_db = decibels(before, after)
    if gain_db is None:
        return before > after
    return pays_zero_points(gain_db, plain.codes.shape[1], plain.codes.size)


def _in_shape(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One number for each channel, or for all of them, in a shape that broadcasts to the codes."""
    return numbers.reshape([1] * len(shape) if len(numbers) == 1 else shape)


def _fill(
    flat: np.ndarray, scale: np.ndarray, zero: np.ndarray, grid: Grid, codes: np.ndarray, half: np.dtype | None,
    importance: np.ndarray | None,
) -> _Sums:  # fmt: skip
    """Writes the codes."""
    signal = noise = weighted = 0.0
    nonzeros = 0
    channels = flat.shape[1]
    offset = np.broadcast_to(zero, channels).astype(flat.dtype)[:, None] if zero.any() else None
    step = np.broadcast_to(scale, channels).astype(flat.dtype)[:, None]
    counts = None if importance is None else np.broadcast_to(importance, flat.shape)
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
        weighted += weighted_sum(q, counts[rows, part]) if counts is not None else 0.0
    return _Sums(signal, noise, noise if counts is None else weighted, nonzeros)


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
