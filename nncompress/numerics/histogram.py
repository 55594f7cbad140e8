"""Counts of values in equal bins around 0, whose width doubles as larger values come: pairs of bins are merged exactly.

Bin j of -BINS ... BINS - 1 holds the values in [j width, (j + 1) width). The width is a power of two, so that neither
the place of a value nor merging rounds: what was counted is what counts, not in which order or in how many parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

BINS = 4096  # on each side of 0: the larger side uses more than half of them
_DOUBLINGS = 12  # that make one bin of all those on one side
_LEAST_EXPONENT = -120  # of the width: its reciprocal is a float32
_CHUNK = 1 << 16  # values at a time, which stay in the cache


class Histogram:
    """Of finite values."""

    def __init__(self) -> None:
        self.exponent = _LEAST_EXPONENT
        self.counts = np.zeros(2 * BINS, np.int64)
        self.zeros = 0  # of the values in bin 0, those that are 0

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Histogram:
        """The one whose `arrays` these are."""
        histogram = cls()
        histogram.exponent, histogram.zeros = int(arrays["exponent"]), int(arrays["zeros"])
        histogram.counts = np.asarray(arrays["counts"], np.int64)
        return histogram

    @property
    def width(self) -> float:
        """Of a bin."""
        return math.ldexp(1.0, self.exponent)

    def add(self, values: np.ndarray, largest: float) -> None:
        """Counts `values` [n] in, float32 or float64, none of which is larger than `largest` in absolute value."""
        self._widen(math.frexp(largest)[1] - _DOUBLINGS if largest else _LEAST_EXPONENT)
        scale = values.dtype.type(math.ldexp(1.0, -self.exponent))
        for start in range(0, len(values), _CHUNK):
            places = values[start : start + _CHUNK] * scale
            np.floor(places, out=places)
            places += BINS
            self.counts += np.bincount(places.astype(np.intp), minlength=2 * BINS)
        self.zeros += len(values) - int(np.count_nonzero(values))

    def merge(self, other: Histogram) -> None:
        """Counts in what `other` has seen."""
        self._widen(other.exponent)
        self.counts = self.counts + _merged(other.counts, self.exponent - other.exponent)
        self.zeros += other.zeros

    def arrays(self) -> Mapping[str, np.ndarray]:
        """exponent [] of the width, counts [2 BINS] from the lowest bin on, zeros []."""
        return {"exponent": np.array(self.exponent), "counts": self.counts, "zeros": np.array(self.zeros)}

    def without_zeros(self) -> np.ndarray:
        """The counts [2 BINS] of values that are not 0: 0 is never rounded or clipped."""
        counts = self.counts.copy()
        counts[BINS] -= self.zeros
        return counts

    def _widen(self, exponent: int) -> None:
        if exponent > self.exponent:
            self.counts = _merged(self.counts, exponent - self.exponent)
            self.exponent = exponent


def _merged(counts: np.ndarray, doublings: int) -> np.ndarray:
    """The counts in bins that are 2^doublings times as wide."""
    if doublings == 0:
        return counts
    each = 2 ** min(doublings, _DOUBLINGS)  # 0 stays the edge of a bin, however wide it is
    sums = counts.reshape(-1, each).sum(axis=1)
    merged = np.zeros_like(counts)
    start = BINS - BINS // each
    merged[start : start + len(sums)] = sums
    return merged
