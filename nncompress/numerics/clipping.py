"""The range of values that the integers of a quantized weight cover.

The clipping range c of a channel minimises the squared error (`narrow_range`): with n values and L levels on each
side, a range of [-c, c] costs about n (c/L)^2 / 12 for rounding and sum_{|w|>c} (|w|-c)^2 for clipping, a convex
function of c. Its minimum is where  n c / (12 L^2) = sum_{|w|>c} (|w|-c). Where the error of some values counts more
(see importance.py), both sides are weighted with that.
"""

from __future__ import annotations

import numpy as np

from nncompress.numerics.channels import blocks

_WORTH = 0.98  # a range that shrinks by less is left alone: the gain is below 4 % of the rounding error


def value_range(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each channel, as float64, zero included."""
    low, high = np.zeros(flat.shape[1], flat.dtype), np.zeros(flat.shape[1], flat.dtype)
    for rows, channels in blocks(flat):
        block = flat[rows, channels]
        low[channels] = np.minimum(low[channels], block.min(axis=(0, 2), initial=0))
        high[channels] = np.maximum(high[channels], block.max(axis=(0, 2), initial=0))
    return low.astype(np.float64), high.astype(np.float64)


def mirrored(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges with zero in the middle that hold these."""
    top = np.maximum(high, -low)
    return -top, top


def narrow_range(
    flat: np.ndarray, low: np.ndarray, high: np.ndarray, steps: int, importance: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The ranges, shrunk towards zero by one factor a channel to where the modelled squared error is least.

    With u = w / high or w / low, whichever is positive, and m the square of that limit, the best factor f solves
    A f = sum_{u > f} m (u - f),  A = n (high - low)^2 / (12 steps^2).  If the k largest u lie above f, that is
    f_k = sum_k m u / (A + sum_k m); f is the largest f_k. Only values near the limits can lie above it.
    With `importance` v (positive, broadcasting against `flat`), n is the sum of v, and m is v times as large.
    """
    count, least = np.full(1, flat.shape[0] * flat.shape[2], np.float64), 1.0
    if importance is not None:
        count, least = _summed(importance, flat.shape), float(importance.min(initial=1))
    rounding = count * (high - low) ** 2 / (12 * steps**2)
    extent = np.maximum(-low, high)
    factor = np.ones(flat.shape[1])
    # the largest value alone keeps f above extent^2 / (A + extent^2): with few values a channel, that decides already
    mass = least * extent**2
    open_ = np.flatnonzero(mass < _WORTH * (rounding + mass))
    for near in (0.8, 0.4, 0.0):
        if not len(open_):
            break
        is_whole = len(open_) == flat.shape[1]
        part = flat if is_whole else flat[:, open_]
        counts = importance if importance is None or is_whole or importance.shape[1] == 1 else importance[:, open_]
        factor[open_] = _best_factor(part, low[open_], high[open_], rounding[open_], near, counts)
        open_ = open_[factor[open_] <= near]
    factor[factor > _WORTH] = 1.0
    return low * factor, high * factor


def _summed(importance: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Over the values of each channel, [channels] or [1]."""
    times = shape[0] // importance.shape[0] * (shape[2] // importance.shape[2])
    total: np.ndarray = importance.sum(axis=(0, 2), dtype=np.float64) * times
    return total


def _best_factor(
    flat: np.ndarray, low: np.ndarray, high: np.ndarray, rounding: np.ndarray, near: float,
    importance: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """The best factor of each channel, exact if it is above `near`; otherwise at most that."""
    channels, ratios, weights = [], [], []
    counts = None if importance is None else np.broadcast_to(importance, flat.shape)
    top, bottom = (near * high).astype(flat.dtype), (near * low).astype(flat.dtype)
    for rows, part in blocks(flat):
        block = flat[rows, part]
        for limit, outside in ((high, block > top[part, None]), (low, block < bottom[part, None])):
            places = np.flatnonzero(outside)
            channel = places // block.shape[2] % block.shape[1] + part.start
            channels.append(channel)
            ratios.append(block.reshape(-1)[places] / limit[channel])
            masses = limit[channel] ** 2
            weights.append(masses if counts is None else masses * counts[rows, part][outside])
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
