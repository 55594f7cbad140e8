"""Smallest and largest value of channels, summed up part by part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Ranges:
    """Of rows [n, channels]; infinity and its negative where there was none. NaN is not counted."""

    def __init__(self, channels: int) -> None:
        self.low = np.full(channels, np.inf)
        self.high = np.full(channels, -np.inf)

    def add(self, rows: np.ndarray) -> None:
        """Counts `rows` [n, channels] in."""
        if len(rows):
            self.low = np.fmin(self.low, np.fmin.reduce(rows, axis=0))
            self.high = np.fmax(self.high, np.fmax.reduce(rows, axis=0))

    def merge(self, other: Ranges) -> None:
        """Counts in what `other` has seen."""
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """low and high, each float64 [channels]."""
        return {"low": self.low, "high": self.high}
