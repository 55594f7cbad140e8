"""What the values of a tensor are like, summed up feed by feed: their ends in each feed, and one histogram."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nncompress.numerics.histogram import Histogram


class Spread:
    """Of float arrays of any shape, each of which is one feed. NaN and infinite elements only count as such."""

    def __init__(self) -> None:
        self.lows: list[float] = []  # of each feed that has finite elements
        self.highs: list[float] = []
        self.count = 0
        self.not_finite = 0
        self.histogram = Histogram()

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Spread:
        """The one whose `arrays` these are."""
        spread = cls()
        spread.lows, spread.highs = arrays["lows"].tolist(), arrays["highs"].tolist()
        spread.count, spread.not_finite = int(arrays["count"]), int(arrays["not_finite"])
        spread.histogram = Histogram.of(arrays)
        return spread

    def add(self, array: np.ndarray) -> None:
        """Counts in what one feed has."""
        values = array.reshape(-1)
        if values.dtype == np.float16:
            values = values.astype(np.float32)
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = values[np.isfinite(values)]
            self.not_finite += len(values) - len(finite)
            if finite.size:
                self._add(finite, float(finite.min()), float(finite.max()))
            return
        self._add(values, low, high)

    def merge(self, other: Spread) -> None:
        """Counts in what `other` has seen."""
        self.lows, self.highs = self.lows + other.lows, self.highs + other.highs
        self.count += other.count
        self.not_finite += other.not_finite
        self.histogram.merge(other.histogram)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """lows and highs [feeds], count [], not_finite [], and those of the histogram."""
        own = {"lows": np.array(self.lows), "highs": np.array(self.highs)}
        return {
            **own, "count": np.array(self.count), "not_finite": np.array(self.not_finite), **self.histogram.arrays(),
        }  # fmt: skip

    @property
    def least(self) -> float:
        """Of all finite elements, of which there must be some."""
        return min(self.lows)

    @property
    def greatest(self) -> float:
        """Of all finite elements, of which there must be some."""
        return max(self.highs)

    def _add(self, values: np.ndarray, low: float, high: float) -> None:
        self.lows.append(low)
        self.highs.append(high)
        self.count += len(values)
        self.histogram.add(values, max(-low, high))
