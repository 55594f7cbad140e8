"""Lays out the chart of many results: size against loss, those on the Pareto front filled and joined by a line.

A label stands where it covers no mark and no other label; where there is no such place, the mark has none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import PurePath

from nncompress.errors import printable
from nncompress.report.charts.axes import PLOT_HEIGHT, PLOT_WIDTH, Tick, round_axis, scaled, ticks_of
from nncompress.results.front import Result, Results
from nncompress.results.units import format_bytes

LEAST_LOSS = 1e-9  # on a logarithmic axis
LONGEST_LABEL = 24
LETTER, LINE, RADIUS = 8.0, 18.0, 7.0  # pixels, as they are on a narrow screen


Room = tuple[float, float, float, float]
"""Left, top, right and bottom of what is drawn."""


@dataclass(frozen=True)
class Mark:
    """One result, in pixels from the top left."""

    x: float
    y: float
    label: str
    name: str  # in full, for the tooltip
    on_front: bool
    failed: bool
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = ""  # class of the label: "end" where it stands on the left


@dataclass(frozen=True)
class Front:
    """The chart of all results of one original."""

    original: str
    loss_name: str
    marks: tuple[Mark, ...]
    line: str  # points of the polyline, "x,y x,y"
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def fronts(results: Results) -> list[Front]:
    """A chart for each original with at least two results whose loss was measured."""
    groups: dict[str, list[Result]] = {}
    for result in results.results:
        if math.isfinite(result.loss):
            groups.setdefault(result.original_sha256, []).append(result)
    return [_front(group, results.loss_name) for group in groups.values() if len(group) > 1]


def _front(group: Sequence[Result], loss_name: str) -> Front:
    x_low, x_high, x_step = round_axis(0.0, max(result.size_bytes for result in group))
    logarithmic = loss_name.startswith("1 - ")
    heights = [round(math.log10(max(result.loss, LEAST_LOSS)), 6) if logarithmic else result.loss for result in group]
    if logarithmic:
        y_low = float(math.floor(min(heights)))
        y_high, y_step = max(y_low + 1, math.ceil(max(heights))), 1.0
    else:
        y_low, y_high, y_step = round_axis(min(0.0, *heights), max(heights))
    marks = [
        _mark(
            result,
            scaled(result.size_bytes, x_low, x_high, PLOT_WIDTH),
            PLOT_HEIGHT - scaled(y, y_low, y_high, PLOT_HEIGHT),
            f"{loss_name}: {result.loss:.3g}",
        )
        for result, y in zip(group, heights, strict=True)
    ]
    x_ticks = [Tick(at, format_bytes(round(float(label)))) for at, label in ticks_of(x_low, x_high, x_step, PLOT_WIDTH)]
    y_ticks = [
        Tick(PLOT_HEIGHT - at, f"{10 ** float(label):.0e}" if logarithmic else label)
        for at, label in ticks_of(y_low, y_high, y_step, PLOT_HEIGHT)
    ]
    return Front(
        printable(group[0].original), loss_name, _labelled(marks), _line(marks), tuple(x_ticks), tuple(y_ticks)
    )


def _mark(result: Result, x: float, y: float, lost: str) -> Mark:
    name = printable(PurePath(result.name).name)
    latency = "" if result.latency_ratio is None else f", {result.latency_text}"
    short = name if len(name) <= LONGEST_LABEL else "…" + name[1 - LONGEST_LABEL :]
    full = f"{printable(result.name)}: {format_bytes(result.size_bytes)}, {lost}{latency}"
    return Mark(x, round(y, 1), short, full, result.on_front, result.level == "fail")


def _labelled(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Those on the front choose their places first."""
    taken = [(mark.x - RADIUS, mark.y - RADIUS, mark.x + RADIUS, mark.y + RADIUS) for mark in marks]
    placed = {}
    for mark in sorted(marks, key=lambda mark: not mark.on_front):
        width = LETTER * len(mark.label)
        for lower, right in product((-8, 20, -28), (True, False)):
            x, y = mark.x + (10 if right else -10), mark.y + lower
            room = (x if right else x - width, y - LINE, x + width if right else x, y)
            if room[0] >= 0 and room[2] <= PLOT_WIDTH and 0 <= room[3] <= PLOT_HEIGHT and not _covers(room, taken):
                taken.append(room)
                placed[id(mark)] = replace(mark, label_x=x, label_y=round(y, 1), anchor="" if right else "end")
                break
    return tuple(placed.get(id(mark), replace(mark, label="")) for mark in marks)


def _covers(room: Room, taken: Sequence[Room]) -> bool:
    return any(room[0] < t[2] and t[0] < room[2] and room[1] < t[3] and t[1] < room[3] for t in taken)


def _line(marks: Sequence[Mark]) -> str:
    """Through the marks on the front that no smaller one is closer than: with latency, the front is no line."""
    kept: list[Mark] = []
    for mark in sorted((m for m in marks if m.on_front), key=lambda m: (m.x, -m.y)):
        if not kept or mark.y > kept[-1].y:  # further down is closer
            kept.append(mark)
    return " ".join(f"{mark.x},{mark.y}" for mark in kept)
