"""The range of values that the integers of a quantized weight cover.

The clipping range c of a channel minimises the squared error (`narrow_range`): with n values and L levels on each
side, a range of [-c, c] costs about n (c/L)^2 / 12 for rounding and sum_{|w|>c} (|w|-c)^2 for clipping, a convex
function of c. Its minimum is where  n c / (12 L^2) = sum_{|w|>c} (|w|-c). Where the error of some values counts more
(see importance.py), both sides are weighted with that.
"""

from __future__ import annotations

import numpy as np

from nncompress.numerics.channels import blocks

_NEAR, _FAR = 0.8, 0.2  # of the limits: the best ranges of many and of few levels are hardly ever below
_FEW_STEPS = 64
_AT_A_TIME = 1 << 24  # values, of which up to a third is gathered where steps are few
_SAMPLE = 512  # values of a channel tell about where its best range is
_SAFE = 0.92  # so much of it is below the best one of most channels
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
    A f = sum_{u > f} m (u - f),  A = n (high - low)^2 / (12 steps^2).  It is the largest value that
    r(g) = sum_{u > g} m u / (A + sum_{u > g} m)  takes for any g, and f <- r(f) climbs to it (Dinkelbach, "On nonlinear
    fractional programming", 1967), so that only values above a bound from below are ever gathered.
    With `importance` v (positive, broadcasting against `flat`), n is the sum of v, and m is v times as large.
    """
    factor = np.empty(flat.shape[1])
    several = max(1, _AT_A_TIME // max(1, flat.shape[0] * flat.shape[2]))
    for start in range(0, flat.shape[1], several):
        part = slice(start, start + several)
        counts = importance if importance is None or importance.shape[1] == 1 else importance[:, part]
        factor[part] = _factors(flat[:, part], low[part], high[part], steps, counts)
    return low * factor, high * factor


def _factors(
    flat: np.ndarray, low: np.ndarray, high: np.ndarray, steps: int, importance: np.ndarray | None
) -> np.ndarray:
    count, least = np.full(1, flat.shape[0] * flat.shape[2], np.float64), 1.0
    if importance is not None:
        count, least = _summed(importance, flat.shape), float(importance.min(initial=1))
    rounding = count * (high - low) ** 2 / (12 * steps**2)
    # the largest value alone keeps f above m / (A + m): with few values a channel, that decides already
    mass = least * np.maximum(-low, high) ** 2
    open_ = mass < _WORTH * (rounding + mass)
    factor, bound = np.ones(flat.shape[1]), np.full(flat.shape[1], _NEAR)
    if steps <= _FEW_STEPS and open_.any():
        bound = np.minimum(bound, _SAFE * _guessed(flat, low, high, rounding, importance))
    while open_.any():
        factor[open_] = _climbed(_outside(flat, low, high, bound, open_, importance), rounding)[open_]
        # from above the best, one step leads to a bound below it; from there, the best is reached
        open_ &= factor < bound
        bound = np.where(open_, factor, bound)
    factor[factor > _WORTH] = 1.0
    return factor


def _summed(importance: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Over the values of each channel, [channels] or [1]."""
    times = shape[0] // importance.shape[0] * (shape[2] // importance.shape[2])
    total: np.ndarray = importance.sum(axis=(0, 2), dtype=np.float64) * times
    return total


def _guessed(
    flat: np.ndarray, low: np.ndarray, high: np.ndarray, rounding: np.ndarray, importance: np.ndarray | None
) -> np.ndarray:
    """About the best factor of each channel, from some of its values; 1 where there are but some."""
    before, channels, after = flat.shape
    step = before * after // _SAMPLE
    if step < 2:
        return np.ones(channels)
    some = (slice(None, None, step), slice(None)) if before >= step else (..., slice(None, None, step))
    sample = flat[some]
    counts = None if importance is None else np.broadcast_to(importance, flat.shape)[some]
    share = sample.size / flat.size
    everything = np.ones(channels, bool)
    return _climbed(_outside(sample, low, high, np.full(channels, _FAR), everything, counts), rounding * share)


def _outside(
    flat: np.ndarray, low: np.ndarray, high: np.ndarray, bound: np.ndarray, chosen: np.ndarray,
    importance: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The channel, u and m of each value of the channels `chosen` whose u is above the `bound` of its channel."""
    channels, ratios, weights = [], [], []
    counts = None if importance is None else np.broadcast_to(importance, flat.shape)
    top = np.where(chosen, bound * high, np.inf).astype(flat.dtype)[:, None]
    bottom = np.where(chosen, bound * low, -np.inf).astype(flat.dtype)[:, None]
    for rows, part in blocks(flat):
        if not chosen[part].any():
            continue
        block = flat[rows, part]
        for limit, outside in ((high, block > top[part]), (low, block < bottom[part])):
            places = np.flatnonzero(outside)
            channel = places // block.shape[2] % block.shape[1] + part.start
            channels.append(channel.astype(np.int32))
            ratios.append(block.reshape(-1)[places] / limit[channel])
            masses = limit[channel] ** 2
            weights.append(masses if counts is None else masses * counts[rows, part][outside])
    return np.concatenate(channels), np.concatenate(ratios), np.concatenate(weights)


def _climbed(outside: tuple[np.ndarray, np.ndarray, np.ndarray], rounding: np.ndarray) -> np.ndarray:
    """f <- r(f) for each channel, from r of all these values to where no value is left between two steps."""
    channel, ratio, weight = outside
    while True:
        moments, masses = (np.bincount(channel, sums, len(rounding)) for sums in (weight * ratio, weight))
        total = rounding + masses
        factor: np.ndarray = np.divide(moments, total, out=np.zeros(len(total)), where=total > 0)
        above = ratio > factor[channel]
        if above.all():
            return factor
        channel, ratio, weight = channel[above], ratio[above], weight[above]
