"""Draws the chart of many results with characters, for a terminal: `*` on the Pareto front, `o` beside it."""

from __future__ import annotations

from nncompress.report.charts.axes import PLOT_HEIGHT, PLOT_WIDTH
from nncompress.report.charts.front import Front

_COLUMNS, _ROWS = 60, 12
_LABEL = 8  # cells in front of the axis


def drawn(front: Front) -> list[str]:
    """Lines of at most 72 cells: the loss upwards, the size to the right."""
    cells = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for mark in sorted(front.marks, key=lambda mark: mark.on_front):
        cells[_place(mark.y, PLOT_HEIGHT, _ROWS)][_place(mark.x, PLOT_WIDTH, _COLUMNS)] = "*" if mark.on_front else "o"
    labels = {_place(tick.at, PLOT_HEIGHT, _ROWS): tick.label for tick in front.y_ticks}
    lines = [f"{labels.get(row, ''):>{_LABEL}} |{''.join(own)}".rstrip() for row, own in enumerate(cells)]
    below = [" "] * (_COLUMNS + 2)
    for tick in front.x_ticks:
        start = min(_place(tick.at, PLOT_WIDTH, _COLUMNS), len(below) - len(tick.label))
        if not "".join(below[max(0, start - 2) : start + len(tick.label)]).strip():  # it touches no other
            below[start : start + len(tick.label)] = tick.label
    axis = f"{'':{_LABEL}} +{'-' * _COLUMNS}"
    return [front.loss_name, *lines, axis, f"{'':{_LABEL + 2}}{''.join(below)}".rstrip()]


def _place(pixel: float, length: float, count: int) -> int:
    return min(int(pixel / length * count), count - 1)
