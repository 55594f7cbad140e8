"""What every statistic of activations is: rows are added feed by feed, two of a kind merge, and arrays come out.

Sums are float64 and are taken in the order in which rows come, so that the same feeds give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

import numpy as np


class Statistics(Protocol):
    """Of rows [n, channels]; what it has seen is what counts, not in how many parts."""

    def add(self, rows: np.ndarray) -> None:
        """Counts `rows` [n, channels] in."""

    def merge(self, other: Self) -> None:
        """Counts in what `other` has seen."""

    def arrays(self) -> Mapping[str, np.ndarray]:
        """All that is known, by name."""
