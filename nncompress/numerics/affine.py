"""Affine quantization of a weight: w ~ scale * (q - zero_point) with q an integer of `bits` bits.

Notation as in Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (arXiv 1806.08342).
Scales and zero points have the shape of the weight with every axis reduced to 1 but the channel axes, so that they
broadcast. A weight with outliers along an input axis can have a second scale along that axis (see
equalise.py). Everything works on blocks that fit a processor's cache.

The clipping range c of a channel minimises the squared error (`narrow_range`): with n values and L levels on each
side, a range of [-c, c] costs about n (c/L)^2 / 12 for rounding and sum_{|w|>c} (|w|-c)^2 for clipping, a convex
function of c. Its minimum is where  n c / (12 L^2) = sum_{|w|>c} (|w|-c).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nncompress.numerics.held import Held, Store

Range = Literal["minmax", "mse"]
_BLOCK_ELEMENTS = 1 << 17
_SMALLEST_SUM, _LARGEST_SUM = 1e-25, 1e35  # of squares in single precision
_WORTH = 0.98  # a range that shrinks by less is left alone: the gain is below 4 % of the rounding error


@dataclass(frozen=True)
class Affine:
    """A weight as integers: `codes` (int8 or uint8, shape of the weight), `scale` (float32) and `zero_point`
    (int32, or None where it is 0), both broadcasting against the codes, as `input_scale` (float32) if there is one."""

    codes: Held
    scale: np.ndarray
    zero_point: np.ndarray | None
    shape: tuple[int, ...]
    signed: bool
    bits: int
    nonzeros: int
    input_scale: np.ndarray | None = None

    def decode(self) -> np.ndarray:
        """The values as float32."""
        out = self.codes.load().astype(np.float32)
        if self.zero_point is not None:
            out -= self.zero_point.astype(np.float32)
        out *= self.scale
        if self.input_scale is not None:
            out *= self.input_scale
        return out


@dataclass(frozen=True)
class Quantized:
    """What `quantize` made, and how well: sums of squares in float64."""

    affine: Affine
    signal: float  # sum of w^2
    noise: float  # sum of (w - decoded)^2

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where nothing was lost."""
        return 10 * math.log10(self.signal / self.noise) if self.noise > 0 and self.signal > 0 else None


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
) -> Quantized:
    """Codes for `weight` (float32 or float64, finite), one scale for each index along `channel_axes`."""
    flat, kept_shape = channel_view(weight, channel_axes)
    low, high = value_range(flat, symmetric=symmetric)
    smallest, largest = levels(bits, signed=signed, symmetric=symmetric)
    if range_ == "mse":
        low, high = narrow_range(flat, low, high, largest - smallest)
    scale, zero_point = affine_parameters(low, high, smallest, largest, symmetric=symmetric)
    codes = np.empty(flat.shape, np.int8 if signed else np.uint8)
    signal, noise, nonzeros = _fill(flat, scale, zero_point, smallest, largest, codes)
    as_weight = _undo_view(codes, weight.shape, channel_axes)
    zeros = None if not zero_point.any() else zero_point.reshape(kept_shape)
    affine = Affine(store.hold(as_weight), scale.reshape(kept_shape), zeros, weight.shape, signed, bits, nonzeros)
    return Quantized(affine, signal, noise)


# ------------------------------------------------------------------------------------------------ channels
def channel_view(weight: np.ndarray, channel_axes: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The weight as [before, channels, after], a view wherever the channel axes are adjacent, and the shape of a scale.

    Channels are numbered in the order of the flattened channel axes.
    """
    shape = weight.shape
    kept_shape = tuple(d if axis in channel_axes else 1 for axis, d in enumerate(shape))
    if not channel_axes:
        return weight.reshape(1, 1, -1), kept_shape
    if not _adjacent(channel_axes):
        order = (*channel_axes, *(a for a in range(len(shape)) if a not in channel_axes))
        channels = math.prod(shape[a] for a in channel_axes)
        return np.ascontiguousarray(weight.transpose(order)).reshape(1, channels, _rest(weight, channels)), kept_shape
    first, last = channel_axes[0], channel_axes[-1]
    before, channels = math.prod(shape[:first]), math.prod(shape[first : last + 1])
    return weight.reshape(before, channels, math.prod(shape[last + 1 :])), kept_shape


def _rest(weight: np.ndarray, channels: int) -> int:
    return weight.size // channels if channels else 0


def _adjacent(axes: tuple[int, ...]) -> bool:
    return axes == tuple(range(axes[0], axes[0] + len(axes)))


def _undo_view(flat: np.ndarray, shape: tuple[int, ...], channel_axes: tuple[int, ...]) -> np.ndarray:
    if not channel_axes or _adjacent(channel_axes):
        return flat.reshape(shape)
    order = (*channel_axes, *(a for a in range(len(shape)) if a not in channel_axes))
    moved = flat.reshape([shape[a] for a in order])
    return np.ascontiguousarray(moved.transpose(np.argsort(order)))


def _blocks(flat: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Slices of the first two axes of [before, channels, after] that hold about _BLOCK_ELEMENTS each."""
    before, channels, after = flat.shape
    rows = max(1, _BLOCK_ELEMENTS // max(1, after))
    if rows >= channels:
        step = max(1, rows // max(1, channels))
        for start in range(0, before, step):
            yield slice(start, start + step), slice(0, channels)
        return
    for index in range(before):
        for start in range(0, channels, rows):
            yield slice(index, index + 1), slice(start, start + rows)


# ------------------------------------------------------------------------------------------------ ranges
def value_range(flat: np.ndarray, *, symmetric: bool) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each channel, as float64, zero included; symmetric: of the larger magnitude."""
    low, high = np.zeros(flat.shape[1], flat.dtype), np.zeros(flat.shape[1], flat.dtype)
    for rows, channels in _blocks(flat):
        block = flat[rows, channels]
        low[channels] = np.minimum(low[channels], block.min(axis=(0, 2), initial=0))
        high[channels] = np.maximum(high[channels], block.max(axis=(0, 2), initial=0))
    if symmetric:
        high = np.maximum(high, -low)
        low = -high
    return low.astype(np.float64), high.astype(np.float64)


def narrow_range(flat: np.ndarray, low: np.ndarray, high: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The ranges, shrunk towards zero by one factor a channel to where the modelled squared error is least.

    With u = w / high or w / low, whichever is positive, and m the square of that limit, the best factor f solves
    A f = sum_{u > f} m (u - f),  A = n (high - low)^2 / (12 steps^2).  If the k largest u lie above f, that is
    f_k = sum_k m u / (A + sum_k m); f is the largest f_k. Only values near the limits can lie above it.
    """
    count = flat.shape[0] * flat.shape[2]
    rounding = count * (high - low) ** 2 / (12 * steps**2)
    extent = np.maximum(-low, high)
    factor = np.ones(flat.shape[1])
    # the largest value alone keeps f above extent^2 / (A + extent^2): with few values a channel, that decides already
    open_ = np.flatnonzero(extent**2 < _WORTH * (rounding + extent**2))
    for near in (0.8, 0.4, 0.0):
        if not len(open_):
            break
        part = flat if len(open_) == flat.shape[1] else flat[:, open_]
        factor[open_] = _best_factor(part, low[open_], high[open_], rounding[open_], near)
        open_ = open_[factor[open_] <= near]
    factor[factor > _WORTH] = 1.0
    return low * factor, high * factor


def _best_factor(flat: np.ndarray, low: np.ndarray, high: np.ndarray, rounding: np.ndarray, near: float) -> np.ndarray:
    """The best factor of each channel, exact if it is above `near`; otherwise at most that."""
    channels, ratios, weights = [], [], []
    top, bottom = (near * high).astype(flat.dtype), (near * low).astype(flat.dtype)
    for rows, part in _blocks(flat):
        block = flat[rows, part]
        for limit, outside in ((high, block > top[part, None]), (low, block < bottom[part, None])):
            found = np.flatnonzero(outside)
            channel = found // block.shape[2] % block.shape[1] + part.start
            channels.append(channel)
            ratios.append(block.reshape(-1)[found] / limit[channel])
            weights.append(limit[channel] ** 2)
    channel, ratio, weight = (np.concatenate(parts) for parts in (channels, ratios, weights))
    order = np.lexsort((-ratio, channel))
    channel, ratio, weight = channel[order], ratio[order], weight[order]
    starts = np.flatnonzero(np.diff(channel, prepend=-1))
    first = np.repeat(starts, np.diff(starts, append=len(channel)))
    moments, masses = _running(weight * ratio, first), _running(weight, first)
    best = np.zeros(flat.shape[1])
    if len(starts):
        best[channel[starts]] = np.maximum.reduceat(moments / (rounding[channel] + masses), starts)
    return best


def _running(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Running sums that start anew at each group; `first[i]` is where the group of i begins."""
    sums = np.cumsum(values)
    running: np.ndarray = sums - sums[first] + values[first]
    return running


def affine_parameters(
    low: np.ndarray, high: np.ndarray, smallest: int, largest: int, *, symmetric: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scale (float32, never 0 or denormal) and zero point (int32) of each channel."""
    tiny = np.finfo(np.float32).tiny * (largest - smallest)
    scale = (np.maximum(high - low, tiny) / (largest - smallest)).astype(np.float32)
    if symmetric:
        zero = np.full(len(scale), (smallest + largest) // 2, np.int32)
    else:
        zero = np.clip(np.rint(smallest - low / scale.astype(np.float64)), smallest, largest).astype(np.int32)
    return scale, zero


def _fill(
    flat: np.ndarray, scale: np.ndarray, zero: np.ndarray, smallest: int, largest: int, codes: np.ndarray
) -> tuple[float, float, int]:
    """Writes the codes; returns the sums of squares of values and errors, and how many codes mean non-zero."""
    signal = noise = 0.0
    nonzeros = 0
    offset = zero.astype(flat.dtype)[:, None] if zero.any() else None
    step = scale.astype(flat.dtype)[:, None]
    for rows, channels in _blocks(flat):
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
        np.subtract(block, q, out=q)
        noise += sum_of_squares(q)
        signal += sum_of_squares(block)
    return signal, noise, nonzeros


def sum_of_squares(array: np.ndarray) -> float:
    """In single precision for a block of floats whose squares it can hold, otherwise in double."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype == np.float32:
        with np.errstate(over="ignore"):
            found = float(np.dot(flat, flat))
        if _SMALLEST_SUM < found < _LARGEST_SUM:
            return found
        flat = flat.astype(np.float64)
    return float(np.dot(flat, flat))
