"""Renders a report as Markdown for a pull request: the verdict first, the details folded, below 60 kB."""

from __future__ import annotations

import html
import re

from nncompress.errors import printable
from nncompress.report.ledger_table import full_ledger_table, short_ledger_table, skipped_table
from nncompress.report.record import Report
from nncompress.report.summary import headline
from nncompress.report.tables import (
    Table,
    comparison_table,
    environment_table,
    feeds_lines,
    fidelity_table,
    metrics_table,
    rules_table,
)

MOST_BYTES = 60_000  # GitHub refuses comments of more than 65,536 characters
LONGEST_CELL = 200
LEDGER_LINES = (300, 100, 50, 20, 0)  # tried in turn where the whole ledger makes the report too long
OTHER_LINES = 25  # of tables that are short in any sane model
MARKS = {"pass": "✅", "warn": "⚠️", "fail": "❌"}
MARKUP = re.compile(r"([\\`*_\[\]|~$])")
LINKED = re.compile(r"(@|#|www(?=\.)|:(?=//))")  # GitHub links these after rendering, where a backslash is gone
NOT_LINKED = r"\1<!-- -->"


def render_markdown(report: Report) -> str:
    """Names are inert: no markup, link, mention or HTML survives in them. The ledger is cut where it gets too long."""
    text = _render(report, full_ledger_table(report))
    for count in LEDGER_LINES:
        if len(text.encode()) < MOST_BYTES:
            break
        text = _render(report, short_ledger_table(report, count))
    return text


def _render(report: Report, ledger: Table) -> str:
    run = report.comparison.run
    parts = [f"## {MARKS[report.verdict.level]} {report.verdict.level.upper()}: {_inert(headline(report))}"]
    parts.append(_table(rules_table(report).head(OTHER_LINES)))
    parts.append(_table(comparison_table(report)))
    parts.append("\n".join(f"- {_inert(line)}" for line in _sentences(report)))
    if run and run.metrics:
        parts.append(_table(metrics_table(run).head(OTHER_LINES)))
    if run:
        parts.append(_folded(fidelity_table(run).head(OTHER_LINES)))
    if report.ledger:
        parts.append(_folded(ledger))
    skipped = skipped_table(report)
    if skipped.rows:
        parts.append(_folded(skipped.head(OTHER_LINES)))
    parts.append(_folded(environment_table(report).head(OTHER_LINES)))
    return "\n\n".join(parts) + "\n"


def _sentences(report: Report) -> list[str]:
    lines = [*feeds_lines(report.comparison.run), *report.notes]
    return lines if len(lines) <= OTHER_LINES else [*lines[:OTHER_LINES], f"... {len(lines) - OTHER_LINES} more"]


def _folded(table: Table) -> str:
    return f"<details><summary>{table.title}</summary>\n\n{_table(table)}\n\n</details>"


def _table(table: Table) -> str:
    rule = ["---:" if column in table.numeric else "---" for column in range(len(table.header))]
    lines = [list(table.header), rule, *([_inert(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _inert(text: str) -> str:
    """One line that shows as it is written: HTML as entities, Markdown escaped, cut to LONGEST_CELL."""
    shown = printable(text)
    shown = shown if len(shown) <= LONGEST_CELL else shown[: LONGEST_CELL - 3] + "..."
    return LINKED.sub(NOT_LINKED, html.escape(MARKUP.sub(r"\\\1", shown), quote=False))
