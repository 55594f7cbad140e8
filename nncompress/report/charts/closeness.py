"""Lays out how well the result does: task metrics, their classes, outputs, and which weights lost how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from nncompress.errors import printable
from nncompress.report.charts.axes import PLOT_HEIGHT, PLOT_WIDTH, Tick, round_axis, scaled, ticks_of
from nncompress.report.charts.boxes import Bars, Box, Key, lanes, pair, row
from nncompress.results.record import LedgerLine, OutputComparison, Run, TaskMetric
from nncompress.results.summary import both
from nncompress.results.units import format_bytes, format_counted, format_db, format_share
from nncompress.results.worst import counting, damage_db, sqnr_db

MOST_CLASSES, MOST_OUTPUTS = 20, 20
FULL_DB = 60.0  # where a bar of SQNR ends: an error of a thousandth
LEAST_POINTS, LEAST_SPREAD_DB = 3, 3.0  # of a scatter plot that says something
OUTLIER_DB, MOST_NAMED = 6.0, 5  # below the median
_KEYS = (Key("before", "original"), Key("after", "result"))


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
    caption: str


# ------------------------------------------------------------------------------------------------ tasks
def metric_bars(run: Run) -> Bars | None:
    """Each task metric of both models; None where there is one, which has a tile of its own."""
    if len(run.metrics) < 2:
        return None
    rows = tuple(
        row(m.name, pair(m.reference, m.candidate, 1.0 if m.is_share else _larger(m)), " → ".join(both(m)))
        for m in run.metrics
    )
    return Bars("Task metrics", _KEYS, rows, f"On {format_counted(run.metrics[0].samples, 'sample')}.")


def _larger(metric: TaskMetric) -> float:
    return max((value for value in (metric.reference, metric.candidate) if math.isfinite(value)), default=1.0)


def class_bars(run: Run) -> Bars | None:
    """Classes of the first metric that tells them apart, those that lost most first; None where all are as before."""
    metric = next((m for m in run.metrics if m.classes), None)
    if metric is None or all(one.drop == 0 for one in metric.classes):
        return None
    ordered = sorted(metric.classes, key=lambda one: (-math.inf if math.isnan(one.drop) else -one.drop, one.label))
    rows = tuple(
        row(
            f"class {one.label}",
            pair(one.reference, one.candidate, 1.0),
            f"{format_share(one.reference)} → {format_share(one.candidate)}, {format_counted(one.samples, 'sample')}",
        )
        for one in ordered[:MOST_CLASSES]
    )
    shown = f"The {len(rows)} that lost most of {len(ordered)}." if len(rows) < len(ordered) else "Most lost first."
    return Bars(f"{printable(metric.name)} by class", _KEYS, rows, shown)


# ------------------------------------------------------------------------------------------------ outputs
def output_bars(run: Run) -> Bars | None:
    """SQNR of all samples and of the worst, for each output; None where there is one, which has a tile of its own."""
    outputs = [(output, db) for output in counting(run) if (db := sqnr_db(output)) is not None]
    if len(outputs) < 2:
        return None
    rows = tuple(
        row(output.name, db_pair(db, worst), f"{format_db(db)}{'' if worst is None else f', worst {format_db(worst)}'}")
        for output, db in outputs[:MOST_OUTPUTS]
        for worst in (_worst_db(output),)
    )
    left_out = f" {len(outputs) - len(rows)} more are in the table." if len(rows) < len(outputs) else ""
    keys = (Key("after", "all samples"), Key("worst", "worst sample"))
    return Bars("SQNR of each output", keys, rows, f"Bars end at {FULL_DB:g} dB, an error of a thousandth.{left_out}")


def _worst_db(output: OutputComparison) -> float | None:
    samples = output.deployed.samples if output.deployed else None
    return samples.worst_sqnr_db.value if samples and samples.worst_sqnr_db else None


def db_pair(db: float, worst_db: float | None) -> tuple[Box, ...]:
    """Of all samples above the worst one: bars on tracks that end at FULL_DB, as they do where there is no error."""
    figures = [("after", db)] if worst_db is None else [("after", db), ("worst", worst_db)]
    bars = [(kind, FULL_DB if figure == math.inf else figure) for kind, figure in figures]
    return *lanes([("track", FULL_DB)] * len(bars), FULL_DB), *lanes(bars, FULL_DB)


# ------------------------------------------------------------------------------------------------ weights
def size_against_sqnr(ledger: Sequence[LedgerLine], most: int) -> Scatter | None:
    """Rewritten weights with a finite SQNR: bytes now (logarithmic) against SQNR; None where few are, or all alike.

    Of more than `most` weights those of lowest SQNR are drawn.
    """
    measured = [(line, db) for line in ledger if (db := damage_db(line)) is not None and math.isfinite(db)]
    measured = sorted(
        ((line, db) for line, db in measured if line.kind == "weight"), key=lambda one: (one[1], one[0].name)
    )
    if len(measured) < LEAST_POINTS or measured[-1][1] - measured[0][1] < LEAST_SPREAD_DB:
        return None
    drawn = measured[:most]
    decades = [math.log10(max(1, line.bytes_after)) for line, _ in drawn]
    x_low, x_high = math.floor(min(decades)), max(math.floor(min(decades)) + 1, math.ceil(max(decades)))
    y_low, y_high, y_step = round_axis(drawn[0][1], drawn[-1][1])
    points = [
        Point(
            scaled(decade, x_low, x_high, PLOT_WIDTH),
            round(PLOT_HEIGHT - scaled(db, y_low, y_high, PLOT_HEIGHT), 1),
            f"{printable(line.name)}: {format_bytes(line.bytes_after)}, {format_db(db)}",
        )
        for decade, (line, db) in zip(decades, drawn, strict=True)
    ]
    sizes = [10**d * factor for d in range(x_low, x_high + 1) for factor in ((1, 2, 5) if x_high - x_low < 3 else (1,))]
    places = [(math.log10(size), format_bytes(size)) for size in sizes if size <= 10**x_high]
    x_ticks = [Tick(scaled(at, x_low, x_high, PLOT_WIDTH), label) for at, label in places]
    y_ticks = [Tick(PLOT_HEIGHT - at, f"{label} dB") for at, label in ticks_of(y_low, y_high, y_step, PLOT_HEIGHT)]
    return Scatter(tuple(points), tuple(x_ticks), tuple(y_ticks), _said(measured, most))


def _said(measured: Sequence[tuple[LedgerLine, float]], most: int) -> str:
    """The outliers by name; `measured` begins with the lowest."""
    middle = median(db for _, db in measured)
    low = [(line, db) for line, db in measured if db < middle - OUTLIER_DB]
    named = ", ".join(f"{printable(line.name)} ({format_db(db)})" for line, db in low[:MOST_NAMED])
    more = f" and {len(low) - MOST_NAMED} more" if len(low) > MOST_NAMED else ""
    drawn = f" Drawn are the {most} lowest of {len(measured)}." if len(measured) > most else ""
    if low:
        return (
            f"Much lower than the median of {format_db(middle)}: {named}{more}. They are the first to leave out.{drawn}"
        )
    line, db = measured[0]
    return (
        f"None lies more than {OUTLIER_DB:g} dB below the median of {format_db(middle)}; "
        f"the lowest is {printable(line.name)} ({format_db(db)}).{drawn}"
    )
