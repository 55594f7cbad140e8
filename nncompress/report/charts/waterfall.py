"""Lays out the chart of where a file lost its bytes: the original, what each step took off or put on, the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nncompress.errors import printable
from nncompress.report.charts.axes import BAR_WIDTH, scaled, shortened
from nncompress.results.record import Report
from nncompress.results.units import format_bytes

Kind = Literal["before", "less", "more", "after"]


@dataclass(frozen=True)
class Fall:
    """One bar, in pixels from the left end of the longest."""

    label: str
    name: str  # in full, for the tooltip
    kind: Kind  # "before" and "after": a whole file
    left: float
    width: float
    at: float  # where the next bar begins
    text: str


def waterfall(report: Report) -> list[Fall]:
    """Bars from the original file to the result, whose differences add up; [] without figures between the passes."""
    if not report.steps or not report.ledger:
        return []
    before, after = report.comparison.reference.file_bytes, report.comparison.candidate.file_bytes
    longest = max(before, after, *(size for _, size in _sizes(report)), 1)
    bars = [_bar("original file", "before", (0, before), longest, format_bytes(before))]
    size = before
    for name, now in _sizes(report):
        bars.append(_bar(name, "less" if now <= size else "more", (size, now), longest, _difference(size, now)))
        size = now
    return [*bars, _bar("result file", "after", (0, after), longest, format_bytes(after))]


def _sizes(report: Report) -> Iterator[tuple[str, int]]:
    """What the file would take after each step: all constants, and nodes and names as they were until the last."""
    before, after = report.comparison.reference.file_bytes, report.comparison.candidate.file_bytes
    constants = [line for line in report.ledger if line.kind != "graph"]
    around = before - sum(line.bytes_before for line in constants)
    for step in report.steps:
        yield step.name, step.size_bytes + around
    yield (report.passes or ("last pass",))[-1].partition(":")[0], sum(line.bytes_after for line in constants) + around
    yield "nodes and names", after


def _bar(name: str, kind: Kind, ends: tuple[int, int], longest: int, text: str) -> Fall:
    left, right = (scaled(end, 0, longest, BAR_WIDTH) for end in sorted(ends))
    at = scaled(ends[1], 0, longest, BAR_WIDTH)
    return Fall(shortened(printable(name)), printable(name), kind, left, round(right - left, 1), at, text)


def _difference(before: int, after: int) -> str:
    """Such as "−103 kB to 238 kB"."""
    if before == after:
        return "no change"
    return f"{'−' if after < before else '+'}{format_bytes(abs(after - before))} to {format_bytes(after)}"
