"""Lays out the charts of the HTML report: plain coordinates, which the template draws as inline SVG."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.report.ledger_table import largest_first
from nncompress.results.record import Latency, LedgerLine, Timing
from nncompress.results.units import format_bytes, format_db, format_smaller
from nncompress.results.worst import damage_db

LONGEST_LABEL = 32  # characters that fit in front of a bar
BAR_WIDTH = 440.0  # pixels of the longest bar
PLOT_WIDTH, PLOT_HEIGHT = 640.0, 260.0
BINS = 48


@dataclass(frozen=True)
class Bar:
    """One pair of bars, widths in pixels."""

    label: str
    name: str  # in full, for the tooltip
    before: float
    after: float
    text: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in pixels."""

    at: float
    label: str


@dataclass(frozen=True)
class Point:
    """A weight: x is its size now, y its SQNR, in pixels from the top left."""

    x: float
    y: float
    name: str


@dataclass(frozen=True)
class Scatter:
    """Size against SQNR."""

    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Histograms:
    """Latency of both models on one axis: the heights of BINS columns, 0 to 1, and the medians in pixels."""

    reference: tuple[float, ...]
    candidate: tuple[float, ...]
    reference_median: float
    candidate_median: float
    column_width: float
    ticks: tuple[Tick, ...]
    outliers: int  # beyond the axis


# ------------------------------------------------------------------------------------------------ bars
_SUMMED = {"constants": "other constants", "graph": "graph"}


def category_bars(ledger: Sequence[LedgerLine]) -> list[Bar]:
    """Bytes before and after by the operators that read the weights, most bytes first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in ledger:
        category = (", ".join(line.ops) or "read by nothing") if line.kind == "weight" else f"({_SUMMED[line.kind]})"
        sums[category][0] += line.bytes_before
        sums[category][1] += line.bytes_after
    return _bars(
        (name, before, after) for name, (before, after) in sorted(sums.items(), key=lambda s: (-s[1][0], s[0]))
    )


def weight_bars(ledger: Sequence[LedgerLine], count: int) -> list[Bar]:
    """Bytes before and after of the `count` largest weights."""
    weights = [line for line in largest_first(ledger) if line.kind == "weight"]
    return _bars((line.name, line.bytes_before, line.bytes_after) for line in weights[:count])


def _bars(sizes: Iterable[tuple[str, int, int]]) -> list[Bar]:
    listed = list(sizes)
    longest = max((max(before, after) for _, before, after in listed), default=0) or 1
    return [
        Bar(
            shortened(printable(name)),
            printable(name),
            round(BAR_WIDTH * before / longest, 1),
            round(BAR_WIDTH * after / longest, 1),
            f"{format_bytes(before)} → {format_bytes(after)} ({format_smaller(before, after)})",
        )
        for name, before, after in listed
    ]


def shortened(name: str) -> str:
    """At most LONGEST_LABEL characters: the end of a name tells weights apart better than the start."""
    return name if len(name) <= LONGEST_LABEL else "…" + name[1 - LONGEST_LABEL :]


# ------------------------------------------------------------------------------------------------ scatter
def size_against_sqnr(ledger: Sequence[LedgerLine]) -> Scatter | None:
    """Rewritten weights with a finite SQNR: bytes now (logarithmic) against SQNR; None where there are none."""
    measured = [(line, sqnr) for line in ledger if (sqnr := damage_db(line)) is not None and math.isfinite(sqnr)]
    if not measured:
        return None
    decades = [math.log10(max(1, line.bytes_after)) for line, _ in measured]
    x_low, x_high = math.floor(min(decades)), max(math.floor(min(decades)) + 1, math.ceil(max(decades)))
    y_low, y_high, y_step = round_axis(min(0.0, *(db for _, db in measured)), max(db for _, db in measured))
    points = [
        Point(
            scaled(decade, x_low, x_high, PLOT_WIDTH),
            PLOT_HEIGHT - scaled(sqnr, y_low, y_high, PLOT_HEIGHT),
            f"{printable(line.name)}: {format_bytes(line.bytes_after)}, {format_db(sqnr)}",
        )
        for decade, (line, sqnr) in zip(decades, measured, strict=True)
    ]
    x_ticks = [Tick(scaled(d, x_low, x_high, PLOT_WIDTH), format_bytes(10**d)) for d in range(x_low, x_high + 1)]
    y_ticks = [Tick(PLOT_HEIGHT - at, label) for at, label in ticks_of(y_low, y_high, y_step, PLOT_HEIGHT)]
    return Scatter(tuple(points), tuple(x_ticks), tuple(y_ticks))


# ------------------------------------------------------------------------------------------------ latency
def latency_histograms(latency: Latency) -> Histograms | None:
    """Both models on an axis that ends at four IQRs beyond the larger median; None without samples."""
    if not latency.reference.samples_ms or not latency.candidate.samples_ms:
        return None
    both = [ms for ms in (*latency.reference.samples_ms, *latency.candidate.samples_ms) if math.isfinite(ms)]
    slower = max((latency.reference, latency.candidate), key=lambda timing: timing.median_ms)
    low, high = min(both, default=0.0), min(max(both, default=1.0), slower.median_ms + 4 * slower.iqr_ms)
    low, high, step = round_axis(low, max(high, low))
    tallest = max(*_counts(latency.reference, low, high), *_counts(latency.candidate, low, high), 1)
    return Histograms(
        tuple(round(count / tallest, 3) for count in _counts(latency.reference, low, high)),
        tuple(round(count / tallest, 3) for count in _counts(latency.candidate, low, high)),
        scaled(latency.reference.median_ms, low, high, PLOT_WIDTH),
        scaled(latency.candidate.median_ms, low, high, PLOT_WIDTH),
        PLOT_WIDTH / BINS,
        tuple(Tick(at, f"{label} ms") for at, label in ticks_of(low, high, step, PLOT_WIDTH)),
        sum(not low <= ms <= high for ms in both),
    )


def _counts(timing: Timing, low: float, high: float) -> list[int]:
    counts = [0] * BINS
    for ms in timing.samples_ms:
        if low <= ms <= high:
            counts[min(BINS - 1, int((ms - low) / (high - low) * BINS))] += 1
    return counts


# ------------------------------------------------------------------------------------------------ axes
def round_axis(low: float, high: float) -> tuple[float, float, float]:
    """Ends and step of an axis that holds both figures, with about five ticks at 1, 2 or 5 times a power of ten."""
    span = high - low if high - low > 1e-6 * abs(high) else abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    start = math.floor(low / step) * step
    end = math.ceil(high / step) * step
    return start, end if end > start else start + step, step


def ticks_of(low: float, high: float, step: float, length: float) -> list[tuple[float, str]]:
    count = round((high - low) / step)
    return [(round(i / count * length, 1), f"{low + i * step + 0.0:.6g}") for i in range(count + 1)]


def scaled(value: float, low: float, high: float, length: float) -> float:
    """`value` in pixels, kept on the axis."""
    if not math.isfinite(value):
        return 0.0
    return round(min(1.0, max(0.0, (value - low) / (high - low))) * length, 1)
