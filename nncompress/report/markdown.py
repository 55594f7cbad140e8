"""Renders a report as Markdown for a pull request: the verdict first, the details folded, below 60 kB."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.report.ledger_table import full_ledger_table, short_ledger_table, skipped_table
from nncompress.report.rules_table import rules_table
from nncompress.report.tables import (
    Table,
    classes_table,
    comparison_table,
    environment_table,
    feeds_lines,
    fidelity_table,
    metrics_table,
    samples_table,
)
from nncompress.results.record import Report
from nncompress.results.summary import headline

MOST_BYTES = 60_000  # GitHub refuses comments of more than 65,536 characters
MARKS = {"pass": "✅", "warn": "⚠️", "fail": "❌"}
MARKUP = re.compile(r"([\\`*_\[\]|~$])")
LINKED = re.compile(r"(@|#|www(?=\.)|:(?=//))")  # GitHub links these after rendering, where a backslash is gone
NOT_LINKED = r"\1<!-- -->"


@dataclass(frozen=True)
class Room:
    """How much of a report is shown."""

    ledger_lines: int | None  # None: the whole ledger; else the weights that are not summed up
    table_lines: int  # of any other table
    cell_length: int  # characters


ROOMS = (  # tried in turn until the report is short enough; the last one holds for any names at all
    Room(None, 100, 400),
    Room(200, 25, 400),
    Room(100, 25, 400),
    Room(30, 25, 300),
    Room(10, 25, 300),
    Room(0, 10, 40),
)


def render_markdown(report: Report) -> str:
    """Names are inert: no markup, link, mention or HTML survives in them. The ledger is cut where it gets too long."""
    for room in ROOMS:
        text = "\n\n".join(_parts(report, room)) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def _parts(report: Report, room: Room) -> Iterator[str]:
    run = report.comparison.run
    level = report.verdict.level
    yield f"## {MARKS[level]} {level.upper()}: {inert(headline(report), room)}"
    yield markdown_table(rules_table(report), room)
    yield markdown_table(comparison_table(report), room)
    yield _sentences(report, room)
    if run and run.metrics:
        yield markdown_table(metrics_table(run), room)
    classes = classes_table(run) if run else None
    if classes:
        yield _folded(classes, room)
    if run:
        yield _folded(fidelity_table(run), room)
    samples = samples_table(run) if run else None
    if samples:
        yield _folded(samples, room)
    if report.ledger:
        yield _folded_ledger(report, room)
    if report.ledger and skipped_table(report).rows:
        yield _folded(skipped_table(report), room)
    yield _folded(environment_table(report), room)


def _sentences(report: Report, room: Room) -> str:
    lines = [*feeds_lines(report.comparison), *report.notes]
    left_out = [f"... {len(lines) - room.table_lines} more"] if len(lines) > room.table_lines else []
    return "\n".join(f"- {inert(line, room)}" for line in [*lines[: room.table_lines], *left_out])


def _folded_ledger(report: Report, room: Room) -> str:
    if room.ledger_lines is None:
        return _fold("Ledger", _whole_table(full_ledger_table(report), room))
    return _fold("Ledger", _whole_table(short_ledger_table(report, room.ledger_lines), room))


def _folded(table: Table, room: Room) -> str:
    return _fold(table.title, markdown_table(table, room))


def _fold(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def markdown_table(table: Table, room: Room) -> str:
    return _whole_table(table.head(room.table_lines), room)


def _whole_table(table: Table, room: Room) -> str:
    rule = ["---:" if column in table.numeric else "---" for column in range(len(table.header))]
    lines = [list(table.header), rule, *([inert(cell, room) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def inert(text: str, room: Room) -> str:
    """One line that shows as it is written: HTML as entities, Markdown escaped, cut to the length of a cell."""
    shown = printable(text)
    shown = shown if len(shown) <= room.cell_length else shown[: room.cell_length - 3] + "..."
    return LINKED.sub(NOT_LINKED, html.escape(MARKUP.sub(r"\\\1", shown), quote=False))
