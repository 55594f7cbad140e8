"""Where reports go: files, stdout, and in GitHub Actions the summary of the job and annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import typer

from nncompress.cli.options import FileOptions, ReportOptions
from nncompress.cli.printing import complain, say, say_report
from nncompress.errors import EXIT_GATE_FAILED, NoOutputError, UsageError, reason
from nncompress.files.places import check_place, is_link, is_special, place_of
from nncompress.files.texts import write_whole
from nncompress.results.check import CheckReport
from nncompress.results.front import Results
from nncompress.results.record import Report, RuleResult
from nncompress.workflow.inputs import Inputs

STDOUT = Path("-")
_T = TypeVar("_T")
Renderers = dict[str, Callable[[_T], str]]
"""By the name of the option, which is that of the field in FileOptions."""


def check_reports(
    options: FileOptions, inputs: Inputs, written: Sequence[Path] = (), recipe: Path | None = None
) -> None:
    """Finds out before the work whether the reports, and a recipe, can be written, and not over an input, a file that
    is `written` besides, or each other. Raises UsageError or NoOutputError."""
    from nncompress.report import github

    given = {f"--{name}": path for name, path in _paths(options).items()}
    given |= {"--save-recipe": recipe} if recipe else {}
    to_stdout = [name for name, path in given.items() if path == STDOUT]
    if len(to_stdout) > 1:
        raise UsageError(f"only one report can go to stdout, not {' and '.join(to_stdout)}")
    files = [path for path in given.values() if path != STDOUT]
    files += [github.summary_path()] if options.github_summary else []
    places = [place_of(path) for path in (*files, *written)]
    for path, place in zip(files, places, strict=False):
        if inputs.holds(path) or places.count(place) > 1:
            raise UsageError(f"{path} would overwrite another file of this command: name another one")
        check_place(path)


def finish(report: Report, options: ReportOptions) -> None:
    """Prints and writes the report; ends with exit code 1 if a gate failed."""
    from nncompress.report import github

    write_report(report, options)
    if github.in_actions():
        annotate(report.verdict.rules, _name(report))
    elif report.verdict.level == "fail":
        _print_failures(report)
    if report.verdict.level == "fail":
        raise typer.Exit(EXIT_GATE_FAILED)


def write_report(report: Report, options: ReportOptions) -> None:
    """Writes the files that were asked for, and prints the text unless one of them went to stdout."""
    if not write_files(report, report_renderers(), options):
        _print(report, options)


def write_files(found: _T, renderers: Renderers[_T], options: FileOptions) -> bool:
    """Renders what was asked for; True if that was printed on stdout."""
    from nncompress.report import github

    paths = _paths(options)
    for name, path in paths.items():
        write_text(path, renderers[name](found))
    if options.github_summary:
        append_summary(github.summary_path(), renderers["markdown"](found))
    return STDOUT in paths.values()


def check_renderers() -> Renderers[CheckReport]:
    """What the report of a check can be written as."""
    from nncompress.report.check_json import check_json
    from nncompress.report.check_text import check_markdown
    from nncompress.report.junit import render_check_junit

    return {"json": check_json, "markdown": check_markdown, "junit": render_check_junit}


def report_renderers() -> Renderers[Report]:
    """What a single report can be written as."""
    from nncompress.report.csv_report import render_csv
    from nncompress.report.html_report import render_html
    from nncompress.report.json_report import to_json
    from nncompress.report.junit import render_junit
    from nncompress.report.markdown import render_markdown

    return {
        "json": to_json, "markdown": render_markdown, "html": render_html, "junit": render_junit, "csv": render_csv,
    }  # fmt: skip


def results_renderers(reports: Sequence[Report]) -> Renderers[Results]:
    """What the results of several reports can be written as."""
    from nncompress.report.html_report import render_results_html
    from nncompress.report.junit import render_junit
    from nncompress.report.results_text import results_csv, results_json, results_markdown

    return {
        "json": results_json, "markdown": results_markdown, "html": render_results_html, "csv": results_csv,
        "junit": lambda found: render_junit(*reports, missing=found.missing),
    }  # fmt: skip


def write_text(path: Path, text: str) -> None:
    """Whole or not at all, unless `path` is or leads to a FIFO or a device. Raises NoOutputError."""
    if path == STDOUT:
        say(text)
        return
    if not is_special(path):
        write_whole(Path(os.path.realpath(path)) if is_link(path) else path, text)
        return
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise NoOutputError(f"cannot write {path}: {reason(error)}") from error


def annotate(rules: Iterable[RuleResult], about: str) -> None:
    """Tells GitHub Actions which rules were missed: the only commands that are meant for it."""
    from nncompress.report import github

    sys.stderr.writelines(f"{line}\n" for line in github.annotation_lines(rules, about))


def append_summary(path: Path, text: str) -> None:
    """Adds to the summary of the job, which other steps have written to."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n\n")
    except OSError as error:
        raise NoOutputError(f"cannot append to {path}: {reason(error)}") from error


# ------------------------------------------------------------------------------------------------ one report
def _paths(options: FileOptions) -> dict[str, Path]:
    given = {name: getattr(options, name) for name in ("json", "markdown", "html", "junit", "csv")}
    return {name: path for name, path in given.items() if path is not None}


def _print(report: Report, options: ReportOptions) -> None:
    from nncompress.report.text import render_text

    if options.quiet:
        say(render_text(report).partition("\n")[0])
    else:
        say_report(report, verbose=options.verbose)


def _print_failures(report: Report) -> None:
    for rule in report.verdict.rules:
        if rule.level == "fail":
            complain(f"{rule.rule} failed: {rule.figure}, limit {rule.limit}. {rule.advice}")


def _name(report: Report) -> str:
    return Path(report.comparison.candidate.path).name
