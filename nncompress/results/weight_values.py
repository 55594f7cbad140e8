"""The plain result type of what happened to the values of a weight, for charts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightValues:
    """Values of one weight in the original and in the result; of a large weight an even sample."""

    weight: str
    sqnr_db: float  # of all values, as in the ledger
    low: float  # ends of the axis of both histograms
    high: float
    counts_before: tuple[int, ...]  # by bins of equal width
    counts_after: tuple[int, ...]
    pairs: tuple[tuple[float, float], ...]  # (before, after), evenly spaced
