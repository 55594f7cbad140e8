"""The command that renders saved reports again: one in full, several as one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.options import ReportOptions
from nncompress.cli.with_options import with_options


@with_options(ReportOptions)
def report(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT...", help="Reports written with --json.", show_default=False)
    ],
    files: ReportOptions,
) -> None:
    """Render saved reports again; several become one table with the Pareto front.

    The exit code is 0 whatever the verdicts are: the commands that made the reports have judged.

    Example: nncompress report small.json smaller.json --html results.html
    """
    from nncompress.cli.reports import check_reports, write_files, write_report
    from nncompress.report.html_report import render_results_html
    from nncompress.report.junit import render_junit
    from nncompress.report.results import results_headline, results_of
    from nncompress.report.results_text import results_csv, results_json, results_markdown, results_text
    from nncompress.verify import load_report

    check_reports(files, reports)
    read = [load_report(path) for path in reports]
    if len(read) == 1:
        write_report(read[0], files)
        return
    found = results_of(read)
    renderers = {
        "json": results_json, "markdown": results_markdown, "html": render_results_html, "csv": results_csv,
        "junit": lambda _: render_junit(*read),
    }  # fmt: skip
    if not write_files(found, renderers, files):
        headline = f"{found.level.upper()}  {results_headline(found)}\n"
        sys.stdout.write(headline if files.quiet else results_text(found))
