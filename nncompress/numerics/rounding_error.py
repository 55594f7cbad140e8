"""The range of least squared error: what rounding costs inside it and clipping outside, by a histogram of the values.

Values round to s (q - z), q = 0 ... levels - 1, with s = (high - low) / (levels - 1) and z = -low / s, rounded. A bin
counts as if all of it lay in its middle. As no value is farther from that than half a width, and the distance to the
nearest level changes by no more than the value does, the root of the mean squared error is off by half a width at most.

Errors come out of sums over bins up to each boundary between levels, so that a range costs as much as it has levels:
sum c (u - g)^2 = S2 - 2 g S1 + g^2 S0 over the bins, of middles u and counts c, that are nearest to the level g.
"""

from __future__ import annotations

import numpy as np

from nncompress.numerics.histogram import BINS

_COARSE = 32  # parts of either side at which its end is tried
_FINE = 4  # parts of such a part that are tried around the best
_RANGES_AT_ONCE = 1024


def least_error_range(counts: np.ndarray, low: float, high: float, levels: int) -> tuple[float, float]:
    """The best of many (low, high) within these ends, low <= 0 <= high, given in widths of bins; wider at a tie.

    `counts` [2 BINS] are those of a histogram, without zeros, which are exact.
    """
    sums = _Sums(counts)
    parts = np.arange(_COARSE, 0, -1) / _COARSE
    best = _best(sums, low * parts, high * parts, levels)
    apart = np.arange(_FINE, -_FINE - 1, -1) / (_COARSE * _FINE)
    lows, highs = (_within(end, best_end + end * apart) for end, best_end in zip((low, high), best, strict=True))
    return _best(sums, lows, highs, levels)


def squared_errors(counts: np.ndarray, lows: np.ndarray, highs: np.ndarray, levels: int) -> np.ndarray:
    """The sum of squared errors for each range [k], in squared widths; all ranges longer than 0."""
    return _Sums(counts).errors(lows, highs, levels)


class _Sums:
    """Over bins up to any one of them: of counts, and of them times middles and squared middles, in widths."""

    def __init__(self, counts: np.ndarray) -> None:
        middles = np.arange(-BINS, BINS) + 0.5
        powers = counts * np.stack([np.ones_like(middles), middles, np.square(middles)])
        self._sums = np.concatenate([np.zeros((3, 1)), np.cumsum(powers, axis=1)], axis=1)

    def errors(self, lows: np.ndarray, highs: np.ndarray, levels: int) -> np.ndarray:
        """See `squared_errors`."""
        scale = ((highs - lows) / (levels - 1))[:, None]
        zero = np.rint(-lows[:, None] / scale)
        boundaries = scale * (np.arange(levels - 1) + 0.5 - zero)
        before = np.clip(np.ceil(boundaries - 0.5), -BINS, BINS).astype(np.intp) + BINS
        ends = np.pad(before, ((0, 0), (1, 1)), constant_values=(0, 2 * BINS))  # the outermost levels take all beyond
        count, first, second = np.diff(self._sums[:, ends], axis=2)
        grid = scale * (np.arange(levels) - zero)
        errors: np.ndarray = (second - 2 * grid * first + np.square(grid) * count).sum(axis=1)
        return errors


def _within(end: float, tried: np.ndarray) -> np.ndarray:
    """Those between 0 and `end`, each once, the farthest from 0 first."""
    kept = np.unique(np.clip(tried, min(end, 0), max(end, 0)))
    return kept[::-1] if end > 0 else kept


def _best(sums: _Sums, lows: np.ndarray, highs: np.ndarray, levels: int) -> tuple[float, float]:
    all_lows, all_highs = (ends.ravel() for ends in np.meshgrid(_once(lows), _once(highs), indexing="ij"))
    there = all_highs > all_lows
    all_lows, all_highs = all_lows[there], all_highs[there]
    starts = range(0, len(all_lows), _RANGES_AT_ONCE)
    parts = [slice(start, start + _RANGES_AT_ONCE) for start in starts]
    best = int(np.argmin(np.concatenate([sums.errors(all_lows[part], all_highs[part], levels) for part in parts])))
    return float(all_lows[best]), float(all_highs[best])


def _once(ends: np.ndarray) -> np.ndarray:
    """Of a side on which nothing is, 0 alone."""
    return ends if ends.any() else ends[:1]
