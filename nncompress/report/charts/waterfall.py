"""Lays out the chart of where a file lost its bytes: the original, what each step took off or put on, the result."""

from __future__ import annotations

from collections.abc import Iterator

from nncompress.report.charts.axes import scaled
from nncompress.report.charts.boxes import FULL, Bars, Box, Key, Row, row
from nncompress.results.record import Report
from nncompress.results.units import format_bytes

_KEYS = (Key("before", "original"), Key("less", "taken off"), Key("more", "put on"), Key("after", "result"))
_CAPTION = (
    "What the weights would take if they were stored right after each step; nodes and names, which decode them, "
    "come at the end."
)


def waterfall(report: Report) -> Bars | None:
    """From the original file to the result, with the steps that changed something, whose differences add up.

    None without figures between the passes.
    """
    if not report.steps or not report.ledger:
        return None
    before, after = report.comparison.reference.file_bytes, report.comparison.candidate.file_bytes
    longest = max(before, after, *(size for _, size in _sizes(report)), 1)
    rows = [_row("original file", "before", (0, before), longest, format_bytes(before))]
    size = before
    for name, now in _sizes(report):
        if now != size:
            rows.append(_row(name, "less" if now < size else "more", (size, now), longest, _difference(size, now)))
        size = now
    rows.append(_row("result file", "after", (0, after), longest, format_bytes(after)))
    kinds = {box.kind for one in rows for box in one.boxes}
    return Bars("Bytes step by step", tuple(key for key in _KEYS if key.kind in kinds), tuple(rows), _CAPTION)


def _sizes(report: Report) -> Iterator[tuple[str, int]]:
    """What the file would take after each step: all constants, and nodes and names as they were until the last."""
    before, after = report.comparison.reference.file_bytes, report.comparison.candidate.file_bytes
    constants = [line for line in report.ledger if line.kind != "graph"]
    around = before - sum(line.bytes_before for line in constants)
    for step in report.steps:
        yield step.name, step.size_bytes + around
    yield (report.passes or ("last pass",))[-1].partition(":")[0], sum(line.bytes_after for line in constants) + around
    yield "nodes and names", after


def _row(name: str, kind: str, ends: tuple[int, int], longest: int, text: str) -> Row:
    left, right = (scaled(end, 0, longest, FULL) for end in sorted(ends))
    return row(name, (Box(kind, left, max(round(right - left, 1), 0.3), 0.1, 0.8),), text)


def _difference(before: int, after: int) -> str:
    """Such as "−103 kB to 238 kB"."""
    return f"{'−' if after < before else '+'}{format_bytes(abs(after - before))} to {format_bytes(after)}"
