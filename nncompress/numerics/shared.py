"""Weights of few different values: an index into a table for each, and one scale for each channel that needs one.

    w ~ scale[channel] * values[q]

The table is the best one there is for the weight (shared weights), or one that is known beforehand. Table and scales
are fitted in turns, by least squares: none of the steps can make the error larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.channels import blocks, channel_view, undo_view
from nncompress.numerics.codebook import Codebook
from nncompress.numerics.held import Store
from nncompress.numerics.importance import importance_view
from nncompress.numerics.kmeans import best_centers, nearest
from nncompress.numerics.sqnr import decibels

_ROUNDS = 3
_MANY_ZEROS = 0.1  # share of a weight; from that on one of the values is 0
_SMALLEST_HALF, _LARGEST_HALF = 2.0**-14, 65504.0


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
    tables: Sequence[np.ndarray] = (), importance: np.ndarray | None = None,
) -> Shared:  # fmt: skip
    """`weight` (finite floats) as `count` different values at most, with one scale for each index along `channel_axes`;
    () is one table of values for all of it. `tables`: which tables may be taken (float32, ascending, within -1 and 1);
    none: the best one. `importance`: how often the squared error of each value counts, broadcasting against it."""
    flat, kept_shape = channel_view(weight, channel_axes)
    counts = None if importance is None else importance_view(importance, weight.shape, channel_axes)
    scale = _first_scales(flat, largest=bool(tables)) if channel_axes or tables else None
    made = [_fitted(flat, scale, table, count, counts) for table in tables or (None,)]
    best = min(made, key=lambda one: one.weighted_noise)
    scale = None if best.scale is None else best.scale.reshape(kept_shape if channel_axes else [1] * weight.ndim)
    order = np.argsort(best.values != 0, kind="stable")  # code 0 is the value 0, if there is one
    codes = np.argsort(order).astype(np.uint8)[undo_view(best.codes, weight.shape, channel_axes)]
    codebook = Codebook(
        store.hold(codes), best.values[order], weight.shape, weight.shape, int(np.count_nonzero(codes)), scale
    )
    return Shared(codebook, best.signal, best.noise, best.weighted_noise)


@dataclass(frozen=True)
class _Fitted:
    codes: np.ndarray
    values: np.ndarray
    scale: np.ndarray | None
    signal: float
    noise: float
    weighted_noise: float


def _fitted(
    flat: np.ndarray, scale: np.ndarray | None, table: np.ndarray | None, count: int, counts: np.ndarray | None
) -> _Fitted:
    """`table`: None: the best one."""
    best: _Fitted | None = None
    for _ in range(1 if scale is None else _ROUNDS):
        ratios = flat if scale is None else flat / _column(scale, flat)
        values = _table(ratios, scale, counts, count, None if best is None else best.values) if table is None else table
        made = _coded(flat, ratios, values, scale, counts)
        if best is not None and made.weighted_noise >= best.weighted_noise:
            break
        best = made
        if scale is not None:
            scale = _refitted(flat, made, counts)
    assert best is not None, "there is a round"
    return best


def _table(
    ratios: np.ndarray, scale: np.ndarray | None, counts: np.ndarray | None, count: int, start: np.ndarray | None
) -> np.ndarray:
    """The best for weights divided by their scales, an error counting as its scale does, squared; or one as good as can
    be from `start`."""
    importance = counts
    if scale is not None:
        squares = np.square(scale).reshape(1, -1, 1)
        importance = squares if counts is None else squares * counts
    zeros = ratios == 0
    if np.count_nonzero(zeros) < _MANY_ZEROS * ratios.size:
        return best_centers(ratios, count, importance, start)
    kept = None if importance is None else np.broadcast_to(importance, ratios.shape)[~zeros]
    others = (
        best_centers(ratios[~zeros], max(1, count - 1), kept, _without_zero(start))
        if not zeros.all()
        else np.zeros(0, np.float32)
    )
    return np.unique(np.append(others, np.float32(0)))[: max(count, 1)]


def _without_zero(start: np.ndarray | None) -> np.ndarray | None:
    others = None if start is None else start[start != 0]
    return None if others is None or not len(others) else others


def _coded(
    flat: np.ndarray, ratios: np.ndarray, values: np.ndarray, scale: np.ndarray | None, counts: np.ndarray | None
) -> _Fitted:
    codes = nearest(ratios, values)
    signal = noise = weighted = 0.0
    each = None if counts is None else np.broadcast_to(counts, flat.shape)
    steps = None if scale is None else _column(scale, flat)
    for rows, part in blocks(flat):
        block, decoded = flat[rows, part], values[codes[rows, part]]
        errors = np.square(block - (decoded if steps is None else decoded * steps[:, part]), dtype=np.float64)
        signal += float(np.square(block, dtype=np.float64).sum())
        noise += float(errors.sum())
        weighted += 0.0 if each is None else float((errors * each[rows, part]).sum())
    return _Fitted(codes, values, scale, signal, noise, noise if each is None else weighted)


def _first_scales(flat: np.ndarray, *, largest: bool) -> np.ndarray:
    """float32 [channels], the largest magnitude of each or its root mean square; 1 where all is 0."""
    if largest:
        sizes = np.maximum(flat.max(axis=(0, 2)), -flat.min(axis=(0, 2))).astype(np.float64)
    else:
        sizes = np.sqrt(np.square(flat, dtype=np.float64).mean(axis=(0, 2)))
    return _as_half(np.where(sizes > 0, sizes, 1.0))


def _refitted(flat: np.ndarray, made: _Fitted, counts: np.ndarray | None) -> np.ndarray:
    """The scales that are best for these codes: sum w v / sum v^2; those of channels without any are kept."""
    assert made.scale is not None, "there are scales to fit"
    channels = flat.shape[1]
    products, squares = np.zeros(channels), np.zeros(channels)
    each = None if counts is None else np.broadcast_to(counts, flat.shape)
    for rows, part in blocks(flat):
        values = made.values[made.codes[rows, part]].astype(np.float64)
        weighted = values if each is None else values * each[rows, part]
        products[part] += (weighted * flat[rows, part]).sum(axis=(0, 2))
        squares[part] += (weighted * values).sum(axis=(0, 2))
    good = (products > 0) & (squares > 0)
    return _as_half(np.where(good, products / np.where(good, squares, 1), made.scale))


def _as_half(scale: np.ndarray) -> np.ndarray:
    """As float16 has them, where that reaches: they are stored in half the bytes then."""
    reaches = scale.min(initial=1) >= _SMALLEST_HALF and scale.max(initial=1) <= _LARGEST_HALF
    return scale.astype(np.float16).astype(np.float32) if reaches else scale.astype(np.float32)


def _column(scale: np.ndarray, flat: np.ndarray) -> np.ndarray:
    return scale.astype(flat.dtype).reshape(1, -1, 1)
