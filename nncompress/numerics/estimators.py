"""To what range values are best rounded, by what is known of their spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nncompress.numerics.divergence import clipping_bins
from nncompress.numerics.histogram import BINS
from nncompress.numerics.rounding_error import least_error_range
from nncompress.numerics.spread import Spread

Method = Literal["minmax", "moving-average", "percentile", "entropy", "mse"]


@dataclass(frozen=True)
class Estimator:
    """A method and what it has to know."""

    method: Method = "minmax"
    percentile: float = 99.99  # share of the elements that `percentile` keeps
    bits: int = 8  # to which `entropy` and `mse` suppose values to be rounded


def kept_range(spread: Spread, estimator: Estimator) -> tuple[float, float]:
    """The two ends, between them 0. Raises no error for values that are all 0: both ends are."""
    low, high = _METHODS[estimator.method](spread, estimator)
    return max(min(low, 0.0), min(spread.least, 0.0)), min(max(high, 0.0), max(spread.greatest, 0.0))


def _minmax(spread: Spread, estimator: Estimator) -> tuple[float, float]:
    """All that was seen."""
    return spread.least, spread.greatest


def _moving_average(spread: Spread, estimator: Estimator) -> tuple[float, float]:
    """The means over feeds of the smallest and of the largest element."""
    return math.fsum(spread.lows) / len(spread.lows), math.fsum(spread.highs) / len(spread.highs)


def _percentile(spread: Spread, estimator: Estimator) -> tuple[float, float]:
    """All but a share of the elements: half of it at either end, or all of it at the one end of a one-sided spread.

    Each end is the outer edge of its bin, so that never more is cut.
    """
    share = (100 - estimator.percentile) / (200 if _two_sided(spread) else 100)
    cut = int(spread.count * share + 1e-6)  # 99.99 has no exact binary form
    counts, width = spread.histogram.counts, spread.histogram.width
    above = int(np.searchsorted(np.cumsum(counts[::-1]), cut, side="right"))  # bins at the top that may go
    below = int(np.searchsorted(np.cumsum(counts), cut, side="right"))
    return (below - BINS) * width, (BINS - above) * width


def _entropy(spread: Spread, estimator: Estimator) -> tuple[float, float]:
    """One threshold for both signs, each of which has half of the levels; see `divergence`."""
    counts = spread.histogram.without_zeros()
    magnitudes = counts[BINS:] + counts[:BINS][::-1]
    levels = 2 ** (estimator.bits - 1 if _two_sided(spread) else estimator.bits)
    end = clipping_bins(magnitudes, levels) * spread.histogram.width
    return -end, end


def _mse(spread: Spread, estimator: Estimator) -> tuple[float, float]:
    """See `rounding_error`."""
    low, high, width = min(spread.least, 0.0), max(spread.greatest, 0.0), spread.histogram.width
    if low == high:
        return low, high
    counts = spread.histogram.without_zeros()
    low, high = least_error_range(counts, low / width, high / width, 2**estimator.bits)
    return low * width, high * width


def _two_sided(spread: Spread) -> bool:
    return spread.least < 0 < spread.greatest


_METHODS: dict[str, Callable[[Spread, Estimator], tuple[float, float]]] = {
    "minmax": _minmax,
    "moving-average": _moving_average,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
