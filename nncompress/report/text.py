"""Renders a report as text: one screen, or everything; the verdict comes last."""

from __future__ import annotations

from collections.abc import Iterator

from nncompress.errors import printable
from nncompress.report.layout import Line, Section, laid_out
from nncompress.report.ledger_table import full_ledger_table, skipped_table
from nncompress.report.rules_table import rules_table
from nncompress.report.screen import screen_lines, verdict_line
from nncompress.report.tables import (
    classes_table,
    comparison_table,
    environment_table,
    feeds_lines,
    fidelity_table,
    metrics_table,
    samples_table,
)
from nncompress.results.record import Report


def report_lines(report: Report, width: int | None = None, *, verbose: bool = False) -> list[Line]:
    """One screen; `verbose`: every table in full, in reading order."""
    return laid_out(_sections(report), width) if verbose else screen_lines(report, width)


def render_text(report: Report, *, verbose: bool = False) -> str:
    """Plain lines, nothing cut, no escape codes."""
    return "".join(f"{line.text}\n" for line in report_lines(report, verbose=verbose))


def _sections(report: Report) -> Iterator[Section]:
    run = report.comparison.run
    yield rules_table(report)
    yield comparison_table(report)
    if run:
        yield fidelity_table(run)
        yield samples_table(run) or ()
    if run and run.metrics:
        yield metrics_table(run)
        yield classes_table(run) or ()
    if report.ledger:
        yield full_ledger_table(report)
    yield skipped_table(report)
    yield [*feeds_lines(report.comparison), *map(printable, report.notes)]
    yield environment_table(report)
    yield [verdict_line(report)]
