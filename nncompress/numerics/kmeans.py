"""One-dimensional k-means: the k values that stand for many with the least sum of squared errors.

    min over c_1 < ... < c_k of  sum_i v_i (w_i - c(i))^2,   c(i) the nearest to w_i

Sorted values make it a division into k intervals. `best_centers` finds the best one exactly on a coarse histogram, by
dynamic programming (Wang and Song, "Ckmeans.1d.dp", 2011), and moves its ends on a fine one until nothing changes
(Lloyd). Histograms are even in w / (s + |w|), s a median of |w|: fine around 0, with room for any outlier. Deep
Compression (Han et al., arXiv 1510.00149) starts from evenly spaced centers, as large values are few and matter, and
trains them afterwards; without training, the best division needs no start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FINE, _COARSE, _FEW = 1 << 14, 1 << 11, 32  # bins, and centers for which so many are looked at
_ROUNDS, _SAMPLED = 100, 4096
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Histogram:
    """Of values and how often each counts: for each bin the sum of v, of v w and of v w^2, running from 0."""

    counts: np.ndarray
    firsts: np.ndarray
    squares: np.ndarray
    scale: float  # s above

    @property
    def bins(self) -> int:
        return len(self.counts) - 1

    def coarser(self, times: int) -> Histogram:
        """With so many bins in one."""
        return Histogram(self.counts[::times], self.firsts[::times], self.squares[::times], self.scale)

    def ends_between(self, centers: np.ndarray) -> np.ndarray:
        """Bins at which what is nearest to each of `centers` ends, 0 in front."""
        between = (centers[1:].astype(np.float64) + centers[:-1]) / 2
        return np.concatenate([[0], _bin_of(between, self.scale), [self.bins]])

    def cost(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The least sum of squared errors of one value for the bins `starts` to `ends`, exclusive."""
        count = self.counts[ends] - self.counts[starts]
        first = self.firsts[ends] - self.firsts[starts]
        square = self.squares[ends] - self.squares[starts]
        cost: np.ndarray = np.maximum(square - first**2 / np.where(count > 0, count, 1), 0.0)
        return cost

    def centers(self, ends: np.ndarray) -> np.ndarray:
        """The mean of each interval between `ends`, the first of which is 0; NaN where nothing is in it."""
        count, first = np.diff(self.counts[ends]), np.diff(self.firsts[ends])
        means: np.ndarray = np.where(count > 0, first / np.where(count > 0, count, 1), np.nan)
        return means


def best_centers(
    values: np.ndarray, k: int, importance: np.ndarray | None = None, start: np.ndarray | None = None
) -> np.ndarray:
    """float32 [k or fewer], ascending, for `values` (finite floats); `importance` (positive, broadcasting against them)
    says how often the squared error of each counts. From `start` (ascending), only the nearest that are as good as they
    can be become of it."""
    histogram = histogram_of(values, importance)
    joined = _FINE // (_COARSE if k <= _FEW else _COARSE // 2)
    ends = histogram.ends_between(start) if start is not None else _best_ends(histogram.coarser(joined), k) * joined
    for _ in range(_ROUNDS):
        centers = histogram.centers(ends)
        centers = centers[np.isfinite(centers)]
        moved = histogram.ends_between(centers)
        if np.array_equal(moved, ends):
            break
        ends = moved
    return centers.astype(np.float32)


def nearest(values: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """uint8, the index of the nearest of `centers` (ascending, at most 256) to each of `values`."""
    between = ((centers[1:].astype(np.float64) + centers[:-1]) / 2).astype(values.dtype)
    codes = np.empty(values.shape, np.uint8)
    flat, out = values.reshape(-1), codes.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        out[start : start + _BLOCK] = np.searchsorted(between, flat[start : start + _BLOCK])
    return codes


def histogram_of(values: np.ndarray, importance: np.ndarray | None = None) -> Histogram:
    """Of all `values`; one pass over them, a block at a time."""
    flat = values.reshape(-1)
    counts = None if importance is None else np.broadcast_to(importance, values.shape).reshape(-1)
    sample = np.abs(flat[:: max(1, len(flat) // _SAMPLED)])
    scale = float(np.median(sample[sample > 0])) if sample.any() else 1.0
    sums = np.zeros((3, _FINE))
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK]
        weights = None if counts is None else counts[start : start + _BLOCK].astype(np.float64)
        bins = _bin_of(block, scale)
        mass = block.astype(np.float64) if weights is None else block * weights
        sums[0] += np.bincount(bins, weights, _FINE)
        sums[1] += np.bincount(bins, mass, _FINE)
        sums[2] += np.bincount(bins, mass * block, _FINE)
    running = np.concatenate([np.zeros((3, 1)), np.cumsum(sums, axis=1)], axis=1)
    return Histogram(running[0], running[1], running[2], scale)


def _bin_of(values: np.ndarray, scale: float) -> np.ndarray:
    """The fine bin of each."""
    share = values / (np.abs(values) + values.dtype.type(scale))  # -1 to 1
    bins: np.ndarray = ((share + 1) * (_FINE / 2)).astype(np.int32)
    return np.clip(bins, 0, _FINE - 1, out=bins)


def _best_ends(histogram: Histogram, k: int) -> np.ndarray:
    """Where the best k intervals of a histogram end, 0 in front: least[j] is the least cost of the first j bins in one
    interval more each round. The best place of the last end never moves back as j grows, so that places between two
    that are known have theirs between theirs: all of a level at once."""
    bins = histogram.bins
    ends = np.arange(bins + 1)
    least = histogram.cost(np.zeros(bins + 1, np.int64), ends)
    places = []
    for _ in range(k - 1):
        least, place = _one_more(histogram, least)
        places.append(place)
    back = [bins]
    for place in reversed(places):
        back.append(int(place[back[-1]]))
    return np.array([0, *reversed(back)])


def _one_more(histogram: Histogram, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """min_i least[i] + cost(i, j) for every j, and that i."""
    bins = histogram.bins
    place = np.zeros(bins + 1, np.int64)
    best = np.zeros(bins + 1)
    step = 1 << (bins.bit_length() - 1)
    is_known = np.zeros(bins + 1, bool)
    while step:
        fresh = np.arange(step, bins + 1, 2 * step)
        low = place[fresh - step]  # 0 for the first
        behind = np.minimum(fresh + step, bins)
        high = np.minimum(np.where(is_known[behind], place[behind], bins), fresh)
        sizes = high - low + 1
        firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        candidates = np.arange(sizes.sum()) - np.repeat(firsts - low, sizes)
        totals = least[candidates] + histogram.cost(candidates, np.repeat(fresh, sizes))
        best[fresh] = np.minimum.reduceat(totals, firsts)
        hit = totals == np.repeat(best[fresh], sizes)
        index = np.flatnonzero(hit)
        owner = np.searchsorted(firsts, index, side="right") - 1
        place[fresh[owner[::-1]]] = candidates[index[::-1]]  # the first of equal ones
        is_known[fresh] = True
        step //= 2
    return best, place
