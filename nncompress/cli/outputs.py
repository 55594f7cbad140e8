"""Where reports go: files, stdout, and in GitHub Actions the summary of the job and annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import typer

from nncompress.cli.options import FileOptions, ReportOptions
from nncompress.cli.printing import complain, say, say_lines, say_sections
from nncompress.config.files import CONFIG_NAME, PYPROJECT
from nncompress.errors import EXIT_GATE_FAILED, NoOutputError, UsageError, reason
from nncompress.files.places import check_place, is_link, is_special, place_of
from nncompress.files.texts import write_whole
from nncompress.report.formats import rendered
from nncompress.results.record import Report
from nncompress.results.verdict import RuleResult
from nncompress.workflow.inputs import Inputs

STDOUT = Path("-")


def check_reports(
    options: FileOptions, inputs: Inputs, written: Sequence[Path] = (),
    besides: Mapping[str, Path | None] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Finds out before the work whether the reports, and small files `besides` ({option: file}), can be written, and
    not over an input, a file that is `written`, or each other. Raises UsageError or NoOutputError."""
    from nncompress.report import github

    paths = {f"--{name}": path for name, path in options.paths.items()}
    paths |= {name: path for name, path in besides.items() if path is not None}
    for name, path in paths.items():
        _refuse_name(name, path)
    to_stdout = [name for name, path in paths.items() if path == STDOUT]
    if len(to_stdout) > 1:
        raise UsageError(f"only one report can go to stdout, not {' and '.join(to_stdout)}")
    files = [path for path in paths.values() if path != STDOUT]
    files += [github.summary_path()] if options.summary else []
    places = [place_of(path) for path in (*files, *written)]
    for path, place in zip(files, places, strict=False):
        if inputs.holds(path) or places.count(place) > 1:
            raise UsageError(f"{path} would overwrite another file of this command: name another one")
        check_place(path)


def _refuse_name(option: str, path: Path) -> None:
    """A text under the name of a model, a configuration or an option is most likely a slip, and the end of a file."""
    if path.name.startswith("-") and path != STDOUT and str(path) == path.name:
        raise UsageError(f"{option} needs the file to write, not {path}: {option} FILE, or {option} - for stdout")
    if path.suffix == ".onnx" or path.name in (CONFIG_NAME, PYPROJECT):
        kind = "model" if path.suffix == ".onnx" else "configuration"
        raise UsageError(f"{option} {path} would overwrite another file of this command, or a {kind}: name another one")


def require_free(recipe: Path, *, force: bool) -> None:
    """Raises UsageError where there is something else already."""
    if os.path.lexists(recipe) and not force:
        raise UsageError(f"{recipe} exists (--force overwrites it)")


def finish(report: Report, options: ReportOptions) -> None:
    """Prints and writes the report; ends with exit code 1 if a gate failed."""
    from nncompress.report import github

    shown = STDOUT not in options.paths.values() and not options.quiet and not _is_away()
    if not shown and not github.in_actions():
        _print_failures(report)  # before the verdict, which comes last
    write_report(report, options)
    if github.in_actions():
        annotate(report.verdict.rules, _name(report))
    if report.verdict.level == "fail":
        raise typer.Exit(EXIT_GATE_FAILED)


def write_report(report: Report, options: ReportOptions) -> None:
    """Writes the files that were asked for, and prints the text unless one of them went to stdout."""
    if not write_files(report, options):
        _print(report, options)


def _is_away() -> bool:
    """True where somebody looks at stderr, and stdout goes elsewhere."""
    return sys.stderr.isatty() and not sys.stdout.isatty()


def write_files(result: object, options: FileOptions) -> bool:
    """Renders what was asked for; True if that was printed on stdout."""
    from nncompress.report import github

    for name, path in options.paths.items():
        write_text(path, rendered(result, name))
    if options.summary:
        append_summary(github.summary_path(), rendered(result, "markdown"))
    return STDOUT in options.paths.values()


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
def _print(report: Report, options: ReportOptions) -> None:
    from nncompress.report.screen import verdict_line
    from nncompress.report.text import report_lines

    if options.quiet:
        say_sections([verdict_line(report)])
    else:
        say_lines(lambda width: report_lines(report, width, verbose=options.verbose))


def _print_failures(report: Report) -> None:
    for rule in report.verdict.rules:
        if rule.level == "fail":
            complain(f"{rule.rule} failed: {rule.told}")


def _name(report: Report) -> str:
    return Path(report.comparison.candidate.path).name
