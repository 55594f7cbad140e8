"""How values changed: histograms of both on one axis, and some of them in pairs. All in float64, finite values only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 48
MOST_PAIRS = 150


@dataclass(frozen=True)
class ValueChange:
    """Bin i of BINS spans low + (high - low) * [i, i + 1) / BINS; the last one holds `high` as well."""

    low: float
    high: float  # above `low`
    counts_before: np.ndarray  # int64 [BINS]
    counts_after: np.ndarray  # int64 [BINS]
    pairs: np.ndarray  # float64 [at most MOST_PAIRS, 2]: before, after


def compare_values(before: np.ndarray, after: np.ndarray) -> ValueChange:
    """`before` and `after` are equally long and of any real type, with values within the range of float32."""
    before, after = (array.reshape(-1).astype(np.float64) for array in (before, after))
    fine_before, fine_after = np.isfinite(before), np.isfinite(after)
    both = fine_before & fine_after
    values = np.concatenate([before[fine_before], after[fine_after]])
    low, high = _axis(values)
    split = int(np.count_nonzero(fine_before))
    pairs = np.stack([before[both], after[both]], axis=1)
    return ValueChange(low, high, _counts(values[:split], low, high), _counts(values[split:], low, high), _some(pairs))


def _axis(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value, drawn apart where they are equal."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low < high:
        return low, high
    margin = abs(low) / 2 or 0.5
    return low - margin, high + margin


def _counts(values: np.ndarray, low: float, high: float) -> np.ndarray:
    places = ((values - low) / (high - low) * BINS).astype(np.int64)
    return np.bincount(np.minimum(places, BINS - 1), minlength=BINS)


def _some(pairs: np.ndarray) -> np.ndarray:
    """At most MOST_PAIRS rows, evenly spaced, the first and the last among them."""
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return pairs[np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(np.int64)]
