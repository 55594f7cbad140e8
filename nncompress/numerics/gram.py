"""The Gram matrix of rows, sum x x^T, and of pairs of rows, sum x x'^T: what second-order repair works in.

Products of float32 rows are float32; blocks of them are added up in float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_ROWS = 1024  # whose products are summed in float32


class Gram:
    """Of rows x [n, channels], or of rows beside other rows x' [n, others]."""

    def __init__(self, channels: int, others: int | None = None) -> None:
        self.count = 0
        self.sum = np.zeros((channels, channels if others is None else others))

    def add(self, rows: np.ndarray, beside: np.ndarray | None = None) -> None:
        """Counts `rows` [n, channels] in, and with them `beside` [n, others]; without it each row is its own."""
        beside = rows if beside is None else beside
        for start in range(0, len(rows), _ROWS):
            self.sum += rows[start : start + _ROWS].T @ beside[start : start + _ROWS]
        self.count += len(rows)

    def merge(self, other: Gram) -> None:
        """Counts in what `other` has seen."""
        self.sum = self.sum + other.sum
        self.count += other.count

    def arrays(self) -> Mapping[str, np.ndarray]:
        """count [], sum [channels, channels or others]."""
        return {"count": np.array(self.count), "sum": self.sum}
