"""Axes of plots: round ends, ticks, and figures as pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

LONGEST_LABEL = 32  # characters that fit in front of a bar
PLOT_WIDTH, PLOT_HEIGHT = 460.0, 200.0  # pixels inside the axes


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in pixels."""

    at: float
    label: str


def round_axis(low: float, high: float) -> tuple[float, float, float]:
    """Ends and step of an axis that holds both figures, with about five ticks at 1, 2 or 5 times a power of ten."""
    span = high - low if high - low > 1e-6 * abs(high) else abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    start = math.floor(low / step) * step
    end = math.ceil(high / step) * step
    return start, end if end > start else start + step, step


def ticks_of(low: float, high: float, step: float, length: float) -> list[tuple[float, str]]:
    """(pixels, label) of each tick."""
    count = round((high - low) / step)
    return [(round(i / count * length, 1), f"{low + i * step + 0.0:.6g}") for i in range(count + 1)]


def scaled(value: float, low: float, high: float, length: float) -> float:
    """`value` in pixels, kept on the axis."""
    if not math.isfinite(value):
        return 0.0
    return round(min(1.0, max(0.0, (value - low) / (high - low))) * length, 1)


def shortened(name: str) -> str:
    """At most LONGEST_LABEL characters: the end of a name tells weights apart better than the start."""
    return name if len(name) <= LONGEST_LABEL else "…" + name[1 - LONGEST_LABEL :]
