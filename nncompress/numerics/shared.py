"""Weights of few different values: an index into a table for each, and one scale for each channel that needs one.

    w ~ scale[channel] * values[group of the channel, q]

The table is the best one there is for the weight, or for each group of channels (shared weights; coremltools calls it
palettization, "per grouped channel"), or one that is known beforehand. Tables and scales are fitted in turns, by least
squares: none of the steps can make the error larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nncompress.numerics.channels import Groups, blocks, channel_view, undo_view
from nncompress.numerics.codebook import Codebook
from nncompress.numerics.denormal import TINY
from nncompress.numerics.held import Store
from nncompress.numerics.importance import importance_view
from nncompress.numerics.kmeans import nearest
from nncompress.numerics.scales import unit_of
from nncompress.numerics.shared_tables import LARGEST_HALF, SMALLEST_HALF, best_tables, coded, looked_up
from nncompress.numerics.sqnr import decibels, signal_and_noise

_ROUNDS = 3
_FAR, _WIDEST, _TRIED = 2.0, 2.5, 24  # times the squared error of most; scales that are tried for what loses more
_AT_ONCE = 1024  # channels
_MORE, _LEAST_UNITS = 0.02, 12  # of the error, for scales of a byte; of these, for 4 % of the smallest
_ERROR = math.sqrt(3) * math.pi / 2  # of k values for a normal distribution, times k^2 (Panter and Dite, 1951)


@dataclass(frozen=True)
class Shared:
    """What was made of a weight, and how well: sums of squares in float64."""

    codebook: Codebook
    signal: float  # sum of w^2
    noise: float  # sum of (w - decoded)^2
    weighted_noise: float  # the same with each square as often as it counts

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where nothing was lost."""
        return decibels(self.signal, self.noise)


def shared(
    weight: np.ndarray, channel_axes: tuple[int, ...], *, count: int, store: Store,
    tables: Sequence[np.ndarray] = (), importance: np.ndarray | None = None, groups: Groups | None = None,
) -> Shared:  # fmt: skip
    """`weight` (finite floats) as `count` different values at most, with one scale for each index along `channel_axes`;
    () is one table of values for all of it. `tables`: which tables may be taken (float32, ascending, within -1 and 1);
    none: the best one, or the best of each of the `groups`, whose axis is one of `channel_axes` where there are any.
    `importance`: how often the squared error of each value counts, broadcasting against it."""
    axes = channel_axes if groups is None else channel_axes or (groups.axis,)
    flat, kept_shape = channel_view(weight, axes)
    counts = None if importance is None else importance_view(importance, weight.shape, axes)
    scale = _first_scales(flat, count, largest=bool(tables)) if channel_axes or tables else None
    owners = None if groups is None else groups.of_channels(weight.shape, axes)
    made = [_fitted(_Weight(flat, counts, owners), scale, table, count) for table in tables or (None,)]
    best = min(made, key=lambda one: one.weighted_noise)
    scale = None if best.scale is None else best.scale.reshape(kept_shape if channel_axes else [1] * weight.ndim)
    order = np.argsort(best.values != 0, axis=1, kind="stable")  # code 0 is the value 0, if there is one
    rank = np.argsort(order, axis=1).astype(np.uint8)
    codes = undo_view(looked_up(rank, best.codes, owners), weight.shape, axes)
    values, nonzeros = np.take_along_axis(best.values, order, axis=1), int(np.count_nonzero(codes))
    if groups is None:
        codebook = Codebook(store.hold(codes), values[0], weight.shape, weight.shape, nonzeros, scale)
    else:
        shape, scale = groups.split(weight.shape), None if scale is None else scale.reshape(groups.split(scale.shape))
        held = store.hold(codes.reshape(shape))
        codebook = Codebook(held, values, weight.shape, shape, nonzeros, scale, groups.axis)
    return Shared(codebook, best.signal, best.noise, best.weighted_noise)


def against(weight: np.ndarray, made: Shared) -> Shared:
    """The same, judged by `weight`, the values that there were before others took their place."""
    signal, noise = signal_and_noise(weight, made.codebook.decode())
    return replace(made, signal=signal, noise=noise, weighted_noise=noise)


@dataclass(frozen=True)
class _Weight:
    """As [before, channels, after], how often each counts, and which table each channel has; None: all alike."""

    flat: np.ndarray
    counts: np.ndarray | None
    owners: np.ndarray | None


@dataclass(frozen=True)
class _Fitted:
    """Codes like the weight and the tables [groups, k] that they are of."""

    codes: np.ndarray
    values: np.ndarray
    owners: np.ndarray | None
    scale: np.ndarray | None
    signal: float
    noise: float
    weighted_noise: float

    def values_at(self, rows: slice, part: slice) -> np.ndarray:
        return looked_up(self.values, self.codes[rows, part], None if self.owners is None else self.owners[part])


def _fitted(weight: _Weight, scale: np.ndarray | None, table: np.ndarray | None, count: int) -> _Fitted:
    """`table`: None: the best one, or the best of each group."""
    best: _Fitted | None = None
    used: np.ndarray = np.logical_or.reduce(weight.flat, axis=(0, 2))
    for _ in range(1 if scale is None else _ROUNDS):
        ratios = weight.flat if scale is None else weight.flat / _column(scale, weight.flat)
        importance, start = _importance(scale, weight.counts), None if best is None else best.values
        tables = best_tables(ratios, importance, count, weight.owners, start) if table is None else [table]
        made = _coded(weight, ratios, tables, scale)
        if best is not None and made.weighted_noise >= best.weighted_noise:
            break
        best = made
        if scale is not None:
            scale = _refitted(weight, made)
            scale = scale if weight.owners is not None else _searched(weight, made.values[0], scale)
            scale = _narrow(scale, count, used)
    assert best is not None, "there is a round"
    return best


def _importance(scale: np.ndarray | None, counts: np.ndarray | None) -> np.ndarray | None:
    """Of weights divided by their scales: an error counts as its scale does, squared."""
    if scale is None:
        return counts
    squares: np.ndarray = np.square(scale / scale.max()).reshape(1, -1, 1)  # of tiny ones, squares would be 0
    return squares if counts is None else squares * counts


def _coded(weight: _Weight, ratios: np.ndarray, tables: list[np.ndarray], scale: np.ndarray | None) -> _Fitted:
    flat = weight.flat
    codes, values = coded(ratios, tables, weight.owners)
    made = _Fitted(codes, values, weight.owners, scale, 0.0, 0.0, 0.0)
    signal = noise = weighted = 0.0
    each = None if weight.counts is None else np.broadcast_to(weight.counts, flat.shape)
    steps = None if scale is None else _column(scale, flat)
    for rows, part in blocks(flat):
        block, decoded = flat[rows, part], made.values_at(rows, part)
        errors = np.square(block - (decoded if steps is None else decoded * steps[:, part]), dtype=np.float64)
        signal += float(np.square(block, dtype=np.float64).sum())
        noise += float(errors.sum())
        weighted += 0.0 if each is None else float((errors * each[rows, part]).sum())
    return replace(made, signal=signal, noise=noise, weighted_noise=noise if each is None else weighted)


def _first_scales(flat: np.ndarray, count: int, *, largest: bool) -> np.ndarray:
    """float32 [channels], the largest magnitude of each or its root mean square."""
    if largest:
        sizes = np.maximum(flat.max(axis=(0, 2)), -flat.min(axis=(0, 2))).astype(np.float64)
    else:
        sizes = np.sqrt(np.square(flat, dtype=np.float64).mean(axis=(0, 2)))
    return _narrow(np.where(sizes > 0, sizes, 1.0), count, sizes > 0)


def _refitted(weight: _Weight, made: _Fitted) -> np.ndarray:
    """The scales that are best for these codes: sum w v / sum v^2; those of channels without any are kept."""
    assert made.scale is not None, "there are scales to fit"
    flat, counts = weight.flat, weight.counts
    channels = flat.shape[1]
    products, squares = np.zeros(channels), np.zeros(channels)
    each = None if counts is None else np.broadcast_to(counts, flat.shape)
    for rows, part in blocks(flat):
        values = made.values_at(rows, part).astype(np.float64)
        weighted = values if each is None else values * each[rows, part]
        products[part] += (weighted * flat[rows, part]).sum(axis=(0, 2))
        squares[part] += (weighted * values).sum(axis=(0, 2))
    good = (products > 0) & (squares > 0)
    refitted: np.ndarray = np.where(good, products / np.where(good, squares, 1), made.scale)
    return refitted


def _searched(weight: _Weight, table: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Other scales for channels that lose much more than most by the one `table`, where their errors are smaller by
    these: a few channels with outliers count little in all of a weight, and may be those of the most frequent words."""
    lost = _errors(weight, table, scale, np.arange(len(scale)))
    signal = np.square(weight.flat, dtype=np.float64).sum(axis=(0, 2))
    shares = lost / np.where(signal > 0, signal, 1.0)
    far = np.flatnonzero(shares > _FAR * np.median(shares))
    best, least = scale[far], lost[far]
    for factor in np.geomspace(1 / _WIDEST, _WIDEST, _TRIED):
        tried = scale[far] * factor
        errors = _errors(weight, table, tried, far)
        best, least = np.where(errors < least, tried, best), np.minimum(errors, least)
    found = scale.copy()
    found[far] = best
    return found


def _errors(weight: _Weight, table: np.ndarray, scale: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Sums of squares of the errors of some channels with the nearest values of `table`, each as often as it counts."""
    errors = np.zeros(len(channels))
    for start in range(0, len(channels), _AT_ONCE):
        some = channels[start : start + _AT_ONCE]
        own = weight.flat[:, some]
        steps = _column(scale[start : start + _AT_ONCE], own)
        squares = np.square(own - table[nearest(own / steps, table)] * steps, dtype=np.float64)
        if weight.counts is not None:
            squares *= np.broadcast_to(weight.counts, weight.flat.shape)[:, some]
        errors[start : start + _AT_ONCE] = squares.sum(axis=(0, 2))
    return errors


def _narrow(scale: np.ndarray, count: int, used: np.ndarray) -> np.ndarray:
    """As whole multiples of a 255th of the largest, which take a byte each, where that adds next to nothing to the
    error of `count` values; else as float16 has them, where that reaches. Channels that are not `used` hold nothing but
    zeros, and get the least that there is of the kind, for the value nearest to 0 may be another one; what it makes of
    that is not denormal, which processors are slow with."""
    live = scale[used] if used.any() else scale
    if live.size > 1 and live.max() / 255 >= np.finfo(np.float32).tiny:
        unit, most = unit_of(live.max()), _MORE * _ERROR / count**2 * np.square(live, dtype=np.float64).mean()
        if unit**2 / 12 <= most and live.min() >= _LEAST_UNITS * unit:
            return np.where(used, np.rint(scale / unit), 1).astype(np.float32) * unit
    if live.min() >= SMALLEST_HALF and live.max() <= LARGEST_HALF:
        return np.where(used, scale, SMALLEST_HALF).astype(np.float16).astype(np.float32)
    return np.where(used, scale, max(live.min() / LARGEST_HALF, TINY)).astype(np.float32)


def _column(scale: np.ndarray, flat: np.ndarray) -> np.ndarray:
    return scale.astype(flat.dtype).reshape(1, -1, 1)
