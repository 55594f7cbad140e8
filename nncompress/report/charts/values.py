"""Lays out what became of the values of a weight: both histograms on one axis, and old values against new ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from nncompress.errors import printable
from nncompress.report.charts.axes import Tick, round_axis, scaled, ticks_of
from nncompress.results.record import Report
from nncompress.results.units import format_count, format_db
from nncompress.results.weight_values import WeightValues

HISTOGRAM_WIDTH, HEIGHT = 250.0, 160.0  # pixels; the plot of pairs is a square of that height
MOST_TICKS, MOST_CHARTS = 3, 2
VISIBLE = 0.02  # of the axis: what moves less lies on the diagonal, and a picture of that says nothing


@dataclass(frozen=True)
class ValueChart:
    """One weight; paths in pixels from the top left of their plot."""

    weight: str
    caption: str
    before: str  # outlines of the histograms
    after: str
    dots: str
    ticks: tuple[Tick, ...]  # of the histograms
    x_ticks: tuple[Tick, ...]  # of the dots
    y_ticks: tuple[Tick, ...]


def value_charts(report: Report) -> list[ValueChart]:
    """The worst weights that can be drawn and whose values moved visibly; more than MOST_CHARTS look alike."""
    sizes = {line.name: math.prod(line.shape) for line in report.ledger}
    drawn = [values for values in report.worst_values if _can_be_drawn(values) and _moved(values)]
    return [_chart(values, sizes.get(values.weight, 0)) for values in drawn[:MOST_CHARTS]]


def _can_be_drawn(values: WeightValues) -> bool:
    """True for what nncompress writes; a report may come from anywhere."""
    ends = math.isfinite(values.high - values.low) and values.low < values.high
    return ends and len(values.counts_before) == len(values.counts_after) > 0


def _moved(values: WeightValues) -> bool:
    """True too where no pair tells."""
    moves = [abs(after - before) for before, after in values.pairs if math.isfinite(after - before)]
    return not moves or max(moves) >= VISIBLE * (values.high - values.low)


def _chart(values: WeightValues, size: int) -> ValueChart:
    low, high, step = round_axis(values.low, values.high)
    tallest = max(*values.counts_before, *values.counts_after, 1)
    edges = [
        scaled(values.low + (values.high - values.low) * i / len(values.counts_before), low, high, HISTOGRAM_WIDTH)
        for i in range(len(values.counts_before) + 1)
    ]
    start, end, pair_step = round_axis(*_range(values))
    ticks = ticks_of(start, end, pair_step, HEIGHT)
    ticks = _few(ticks)
    return ValueChart(
        printable(values.weight),
        f"{printable(values.weight)}: SQNR {format_db(values.sqnr_db)}, {_extent(values, size)}.",
        _outline(values.counts_before, edges, tallest),
        _outline(values.counts_after, edges, tallest),
        _dots(values, start, end),
        tuple(Tick(at, label) for at, label in _few(ticks_of(low, high, step, HISTOGRAM_WIDTH))),
        tuple(Tick(at, label) for at, label in ticks),
        tuple(Tick(HEIGHT - at, label) for at, label in ticks),
    )


def _few(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Every n-th: labels of small numbers are long."""
    return ticks[:: -(-len(ticks) // MOST_TICKS)]


def _extent(values: WeightValues, size: int) -> str:
    """How many values the histograms count, of how many."""
    counted = max(sum(values.counts_before), sum(values.counts_after))
    sample = f"a sample of {format_count(counted)} of " if counted < size else ""
    return f"{sample}{format_count(max(size, counted))} values"


def _range(values: WeightValues) -> tuple[float, float]:
    """Ends of the pairs on both axes; of the histograms where there are none."""
    finite = [value for value in chain.from_iterable(values.pairs) if math.isfinite(value)] or [values.low, values.high]
    return min(finite), max(finite)


def _outline(counts: Sequence[int], edges: Sequence[float], tallest: int) -> str:
    """A filled staircase, its heights square roots, so that rare values show beside frequent ones."""
    tops = [round(HEIGHT * (1 - math.sqrt(max(0, count) / tallest)), 1) for count in counts]
    steps = "".join(f"V{top:g}H{right:g}" for top, right in zip(tops, edges[1:], strict=True))
    return f"M{edges[0]:g} {HEIGHT:g}{steps}V{HEIGHT:g}Z"


def _dots(values: WeightValues, low: float, high: float) -> str:
    """Lines of no length, whose round caps are dots: a tenth of the size of circles."""
    places = [
        (scaled(before, low, high, HEIGHT), round(HEIGHT - scaled(after, low, high, HEIGHT), 1))
        for before, after in values.pairs
        if math.isfinite(before) and math.isfinite(after)
    ]
    return "".join(f"M{x:g} {y:g}h0" for x, y in dict.fromkeys(places))
