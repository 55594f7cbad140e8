"""Renders a report for a terminal, and as plain aligned lines of any length for a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from nncompress.errors import printable
from nncompress.report.ledger_table import full_ledger_table, short_ledger_table, skipped_table
from nncompress.report.tables import (
    Table,
    classes_table,
    comparison_table,
    environment_table,
    feeds_lines,
    fidelity_table,
    metrics_table,
    rules_table,
    samples_table,
)
from nncompress.results.record import Report
from nncompress.results.summary import headline
from nncompress.results.verdict import Level

CLASS_LINES = 5
LEDGER_LINES = 20
STYLES: dict[str, str] = {"PASS": "bold green", "WARN": "bold yellow", "FAIL": "bold red"}


def print_report(report: Report, stream: TextIO, *, verbose: bool = False) -> None:
    """Writes `report` to `stream`: in colour, folded to its width, where that is a terminal; else as render_text.

    Rich reads NO_COLOR, FORCE_COLOR and TERM itself.
    """
    console = Console(file=stream, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        stream.write(render_text(report, verbose=verbose))
        return
    console.print(Text.assemble(_level_text(report.verdict.level), "  ", headline(report)))
    for section in _sections(report, verbose):
        console.print()
        if isinstance(section, Table):
            console.print(Text(section.title, "bold"))
            console.print(_rich_table(section))
        else:
            for line in section:
                console.print(Text(line))


def render_text(report: Report, *, verbose: bool = False) -> str:
    """Plain lines, nothing cut, no escape codes; `verbose` lists every line of the ledger."""
    lines = [f"{report.verdict.level.upper()}  {headline(report)}"]
    for section in _sections(report, verbose):
        lines += ["", section.title, *aligned(section)] if isinstance(section, Table) else ["", *section]
    return "\n".join(lines) + "\n"


def _sections(report: Report, verbose: bool) -> Iterator[Table | list[str]]:
    """The tables and paragraphs of the report, in reading order, without the empty ones."""
    run = report.comparison.run
    yield rules_table(report)
    yield comparison_table(report)
    if run:
        yield fidelity_table(run)
        samples = samples_table(run)
        if samples:
            yield samples
    if run and run.metrics:
        yield metrics_table(run)
        classes = classes_table(run)
        if classes:
            yield classes if verbose else classes.head(CLASS_LINES)
    if report.ledger:
        yield full_ledger_table(report) if verbose else short_ledger_table(report, LEDGER_LINES)
    skipped = skipped_table(report)
    if skipped.rows:
        yield skipped
    yield [*feeds_lines(run), *map(printable, report.notes)]
    yield environment_table(report)


def aligned(table: Table) -> list[str]:
    """Columns two spaces apart, as wide as their widest cell."""
    rows = [table.header, *table.rows] if any(table.header) else list(table.rows)
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(table.header))]
    return [
        "  " + "  ".join(_padded(cell, widths[i], i in table.numeric) for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def _padded(cell: str, width: int, right: bool) -> str:
    padding = " " * (width - cell_len(cell))
    return padding + cell if right else cell + padding


def _rich_table(table: Table) -> RichTable:
    shown = RichTable(box=None, show_header=any(table.header), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column, title in enumerate(table.header):
        numeric = column in table.numeric
        shown.add_column(Text(title), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in table.rows:
        shown.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
    return shown


def _level_text(level: Level) -> Text:
    return Text(level.upper(), STYLES[level.upper()])
