"""Lays out how the latency of models is distributed, on one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.report.charts.axes import PLOT_WIDTH, Tick, round_axis, scaled, shortened, ticks_of
from nncompress.results.record import Timing

BINS = 46
MOST_MODELS = 6


@dataclass(frozen=True)
class Histogram:
    """One model: the heights of BINS columns, 0 to 1, and the median in pixels."""

    label: str
    heights: tuple[float, ...]
    median: float


@dataclass(frozen=True)
class Latencies:
    """Models below each other."""

    models: tuple[Histogram, ...]
    column_width: float
    ticks: tuple[Tick, ...]
    outliers: int  # beyond the axis


def latencies(timings: Sequence[tuple[str, Timing]]) -> Latencies | None:
    """Models on an axis that ends at four IQRs beyond the largest median; None where one has no samples."""
    shown = timings[:MOST_MODELS]
    if not shown or not all(timing.samples_ms for _, timing in shown):
        return None
    every = [ms for _, timing in shown for ms in timing.samples_ms if math.isfinite(ms)]
    slowest = max((timing for _, timing in shown), key=lambda timing: timing.median_ms)
    low, high = min(every, default=0.0), min(max(every, default=1.0), slowest.median_ms + 4 * slowest.iqr_ms)
    low, high, step = round_axis(low, max(high, low))
    tallest = max(1, *(count for _, timing in shown for count in _counts(timing, low, high)))
    models = [
        Histogram(
            shortened(printable(name)),
            tuple(round(count / tallest, 3) for count in _counts(timing, low, high)),
            scaled(timing.median_ms, low, high, PLOT_WIDTH),
        )
        for name, timing in shown
    ]
    ticks = tuple(Tick(at, f"{label} ms") for at, label in ticks_of(low, high, step, PLOT_WIDTH))
    return Latencies(tuple(models), PLOT_WIDTH / BINS, ticks, sum(not low <= ms <= high for ms in every))


def _counts(timing: Timing, low: float, high: float) -> list[int]:
    counts = [0] * BINS
    for ms in timing.samples_ms:
        if low <= ms <= high:
            counts[min(BINS - 1, int((ms - low) / (high - low) * BINS))] += 1
    return counts
