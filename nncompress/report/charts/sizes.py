"""Lays out where the bytes of a file are: by operator, by weight, and of many weights as one picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.report.charts.axes import PLOT_HEIGHT, PLOT_WIDTH, Tick, round_axis, scaled, ticks_of
from nncompress.report.charts.boxes import Bars, Key, Row, pair, row
from nncompress.report.ledger_table import largest_first
from nncompress.results.record import LedgerLine
from nncompress.results.units import format_bytes, format_counted, format_smaller
from nncompress.results.worst import is_rewritten

MOST_BARS = 16  # weights that are drawn each by itself
NAMED = 3
_KEYS = (Key("before", "original"), Key("after", "result"))
_SUMMED = {"constants": "other constants", "graph": "graph"}


@dataclass(frozen=True)
class Strip:
    """All weights as two outlines, largest first; paths in pixels."""

    count: int
    before: str
    after: str
    y_ticks: tuple[Tick, ...]
    caption: str


def category_bars(ledger: Sequence[LedgerLine]) -> Bars | None:
    """Bytes before and after by the operators that read the weights, most bytes first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in ledger:
        category = (", ".join(line.ops) or "read by nothing") if line.kind == "weight" else f"({_SUMMED[line.kind]})"
        sums[category][0] += line.bytes_before
        sums[category][1] += line.bytes_after
    rows = _rows(
        (name, before, after)
        for name, (before, after) in sorted(sums.items(), key=lambda s: (-s[1][0], s[0]))
        if before or after
    )
    return Bars("Bytes by operator", _KEYS, rows, "By what reads the weights.") if rows else None


def weight_bars(ledger: Sequence[LedgerLine]) -> Bars | None:
    """Each weight; None where there are none, or too many for that."""
    weights = [line for line in largest_first(ledger) if line.kind == "weight"]
    if not 0 < len(weights) <= MOST_BARS:
        return None
    return Bars("Bytes by weight", _KEYS, _rows((line.name, line.bytes_before, line.bytes_after) for line in weights))


def weight_strip(ledger: Sequence[LedgerLine]) -> Strip | None:
    """The same of many."""
    weights = [line for line in largest_first(ledger) if line.kind == "weight"]
    if len(weights) <= MOST_BARS:
        return None
    low, high, step = round_axis(0.0, max(1, *(max(line.bytes_before, line.bytes_after) for line in weights)))
    ticks = ticks_of(low, high, step, PLOT_HEIGHT)
    return Strip(
        len(weights),
        _outline([line.bytes_before for line in weights], high),
        _outline([line.bytes_after for line in weights], high),
        tuple(Tick(PLOT_HEIGHT - at, format_bytes(round(float(label)))) for at, label in ticks),
        _said(weights),
    )


def _said(weights: Sequence[LedgerLine]) -> str:
    largest = ", ".join(f"{printable(w.name)} ({_change(w.bytes_before, w.bytes_after)})" for w in weights[:NAMED])
    alone = [line for line in weights if not is_rewritten(line)]
    left = f" Left alone: {format_counted(len(alone), 'weight')}, {format_bytes(sum(w.bytes_before for w in alone))}."
    return f"All {len(weights)} weights, largest first. The largest: {largest}.{left if alone else ''}"


def _outline(sizes: Sequence[int], high: float) -> str:
    width = PLOT_WIDTH / len(sizes)
    steps = [
        f"V{PLOT_HEIGHT - scaled(size, 0.0, high, PLOT_HEIGHT):g}H{round((i + 1) * width, 1):g}"
        for i, size in enumerate(sizes)
    ]
    return f"M0 {PLOT_HEIGHT:g}{''.join(steps)}V{PLOT_HEIGHT:g}Z"


def _rows(sizes: Iterable[tuple[str, int, int]]) -> tuple[Row, ...]:
    listed = list(sizes)
    longest = max((max(before, after) for _, before, after in listed), default=0)
    return tuple(row(name, pair(before, after, longest), _change(before, after)) for name, before, after in listed)


def _change(before: int, after: int) -> str:
    return f"{format_bytes(before)} → {format_bytes(after)}, {format_smaller(before, after)}"
