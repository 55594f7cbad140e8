"""The command that renders saved reports again: one in full, several as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nncompress.cli.options import ReportOptions
from nncompress.cli.printing import say
from nncompress.cli.with_options import with_options
from nncompress.errors import InputError, UsageError

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

    A report of nncompress check is rendered alone, as text, --json, --markdown or --junit.

    Example: nncompress report small.json --markdown report.md
    Example: nncompress report small.json smaller.json --html results.html
    """
    from nncompress.cli.inputs import inputs_of
    from nncompress.cli.outputs import check_reports, results_renderers, write_files, write_report
    from nncompress.report.results_table import results_headline
    from nncompress.report.results_text import results_text
    from nncompress.results.check import CheckReport
    from nncompress.results.front import results_of
    from nncompress.search.sweep import files_read
    from nncompress.workflow.verify import load_saved

    check_reports(files, inputs_of((), files_read(reports) if merge else reports))
    if merge:
        _merge(reports, files)
        return
    read = [load_saved(path) for path in reports]
    runs = [one for one in read if not isinstance(one, CheckReport)]
    if len(runs) < len(read):
        _render_check(read, reports, files)
        return
    if len(runs) == 1:
        write_report(runs[0], files)
        return
    found = results_of(runs)
    if not write_files(found, results_renderers(runs), files):
        say(f"{found.level.upper()}  {results_headline(found)}" if files.quiet else results_text(found))


def _merge(folders: Sequence[Path], files: ReportOptions) -> None:
    """Raises InputError, after the table, where trials are missing."""
    from nncompress.cli.sweep import show_sweep
    from nncompress.search.sweep import results_in

    found = results_in(folders)
    show_sweep(found, files, quiet=files.quiet)
    if found.missing:
        count = f"{len(found.missing)} trial{'s' * (len(found.missing) != 1)}"
        raise InputError(f"{count} of the sweep have not ended: run the missing shards, then merge all of them")


def _render_check(read: Sequence[Report | CheckReport], paths: Sequence[Path], files: ReportOptions) -> None:
    """Raises UsageError where it is not the only report, or for a format that it cannot be written as."""
    from nncompress.cli.outputs import check_renderers, write_files
    from nncompress.report.check_text import check_text
    from nncompress.results.check import CheckReport

    path, report = next((path, one) for path, one in zip(paths, read, strict=True) if isinstance(one, CheckReport))
    if len(read) > 1:
        raise UsageError(f"{path} is a report of nncompress check, which is in no table with others: render it alone")
    renderers = check_renderers()
    for name in ("html", "csv"):
        if getattr(files, name) is not None:
            known = ", ".join(f"--{known}" for known in renderers)
            raise UsageError(f"--{name} cannot show {path}, a report of nncompress check: take {known}, or the text")
    if not write_files(report, renderers, files):
        text = check_text(report)
        say(text.partition("\n")[0] if files.quiet else text)
