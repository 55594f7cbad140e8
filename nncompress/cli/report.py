"""The command that renders saved reports again: one in full, several as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nncompress.cli.options import ReportOptions
from nncompress.cli.printing import say_sections
from nncompress.cli.with_options import with_options
from nncompress.errors import InputError, UsageError
from nncompress.report.formats import formats_of

if TYPE_CHECKING:
    from nncompress.results.check import CheckReport
    from nncompress.results.record import Report


@with_options(ReportOptions)
def report(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT...", help="Reports written with --json.", show_default=False)
    ],
    files: ReportOptions,
    merge: Annotated[bool, typer.Option("--merge", help="REPORT... are folders: the shards of one sweep.")] = False,
) -> None:
    """Render saved reports again; several become one table with the Pareto front.

    A report of nncompress check is rendered alone, in all formats but --csv.

    Example: nncompress report small.json --markdown report.md
    Example: nncompress report small.json smaller.json --html results.html
    """
    from nncompress.cli.inputs import inputs_of
    from nncompress.cli.outputs import check_reports, write_report
    from nncompress.results.check import CheckReport
    from nncompress.search.sweep import files_read
    from nncompress.workflow.verify import load_saved

    if len(reports) > 1:  # of the folder of a sweep all may be named
        reports = [path for path in reports if not path.name.endswith(".trial.json")] or reports
    check_reports(files, inputs_of((), files_read(reports) if merge else reports))
    if merge:
        _merge(reports, files)
        return
    saved = [load_saved(path) for path in reports]
    runs = [result for result in saved if not isinstance(result, CheckReport)]
    if len(runs) < len(saved):
        _render_check(saved, reports, files)
    elif len(runs) == 1:
        write_report(runs[0], files)
    else:
        _render_table(runs, files)


def _merge(folders: Sequence[Path], files: ReportOptions) -> None:
    """Raises InputError, after the table, where trials are missing."""
    from nncompress.cli.sweep import show_sweep
    from nncompress.search.sweep import results_in

    _require_formats(files, "Results", "a sweep")
    results = results_in(folders)
    show_sweep(results, files, quiet=files.quiet)
    if results.missing:
        count = f"{len(results.missing)} trial{'s' * (len(results.missing) != 1)}"
        raise InputError(f"{count} of the sweep have not ended: run the missing shards, then merge all of them")


def _render_table(runs: Sequence[Report], files: ReportOptions) -> None:
    from nncompress.cli.outputs import write_files
    from nncompress.report.results_text import results_sections, verdict_line
    from nncompress.results.front import results_of

    _require_formats(files, "Results", "several reports")
    results = results_of(runs)
    if not write_files(results, files):
        say_sections(*([[verdict_line(results)]] if files.quiet else results_sections(results)))


def _render_check(saved: Sequence[Report | CheckReport], paths: Sequence[Path], files: ReportOptions) -> None:
    """Raises UsageError where it is not the only report, or for a format that it cannot be written as."""
    from nncompress.cli.outputs import write_files
    from nncompress.report.check_text import check_sections, verdict_line
    from nncompress.results.check import CheckReport

    path, report = next(
        (path, result) for path, result in zip(paths, saved, strict=True) if isinstance(result, CheckReport)
    )
    if len(saved) > 1:
        raise UsageError(f"{path} is a report of nncompress check, which is in no table with others: render it alone")
    _require_formats(files, "CheckReport", f"{path}, a report of nncompress check")
    if not write_files(report, files):
        say_sections(*([[verdict_line(report)]] if files.quiet else check_sections(report)))


def _require_formats(files: ReportOptions, kind: str, shown: str) -> None:
    """Raises UsageError for a format that results of this type cannot be written as."""
    known = [entry.name for entry in formats_of(kind)]
    for name in files.paths:
        if name not in known:
            listed = ", ".join(f"--{format_name}" for format_name in known)
            raise UsageError(f"--{name} cannot show {shown}: take {listed}, or the text")
