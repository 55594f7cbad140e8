"""The command check: models against their budgets, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nncompress.cli.options import CheckFiles, RunOptions
from nncompress.cli.printing import complain, say_sections
from nncompress.cli.with_options import Invocation, with_options
from nncompress.errors import EXIT_GATE_FAILED, EXIT_INPUT, InputError, UsageError

if TYPE_CHECKING:
    from nncompress.config.budget import Config
    from nncompress.results.check import CheckReport


@with_options(RunOptions, CheckFiles)
def check(
    options: RunOptions,
    files: CheckFiles,
    invocation: Invocation,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Compare with what check --json saved.")
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option("--max-regression", metavar="SHARE", help='Largest regression against it. [default: "1 %"]'),
    ] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 even if a check fails.")] = False,
) -> None:
    """Check models against the budgets in nncompress.toml, for CI.

    Example: nncompress check
    Example: nncompress check --json last.json --junit report.xml --github-summary
    Example: nncompress check --baseline last.json --max-regression "1 %"
    """
    from nncompress.cli.from_options import made_up_proof_of
    from nncompress.cli.inputs import check_inputs
    from nncompress.cli.outputs import check_reports
    from nncompress.config.budget import find_config, load_config
    from nncompress.results.rules.on_regressions import read_baseline, with_regressions
    from nncompress.workflow.check import check_budgets

    limit, proof = _regression_limit(baseline, max_regression), made_up_proof_of(options)
    if not invocation.config:
        raise UsageError(f"check reads its budgets from {find_config(Path())}: leave --no-config out")
    loaded = load_config(invocation.config[0])
    _refuse_problems(loaded)
    check_reports(files, check_inputs(loaded, [baseline, *(options.register_library or ()), *invocation.config]))
    before = read_baseline(_read(baseline)) if baseline is not None else None
    report = check_budgets(loaded, proof)
    if before is not None:
        report = with_regressions(report, before, limit)
    _print(report, files)
    if report.unreadable:
        raise typer.Exit(EXIT_INPUT)
    if report.level == "fail" and not exit_zero:
        raise typer.Exit(EXIT_GATE_FAILED)


# ------------------------------------------------------------------------------------------------ what was asked for
def _regression_limit(baseline: Path | None, max_regression: str | None) -> float:
    from nncompress.results.units import parse_share

    if max_regression is not None and baseline is None:
        raise UsageError("--max-regression needs --baseline: the report of an earlier check --json")
    return parse_share(max_regression if max_regression is not None else "1 %")


def _refuse_problems(config: Config) -> None:
    """Raises UsageError; several problems are listed on stderr first, one a line."""
    if not config.problems:
        return
    if len(config.problems) == 1:
        raise UsageError(f"{config.path}: {config.problems[0]}")
    for problem in config.problems:
        complain(f"{config.path}: {problem}")
    raise UsageError(f"{config.path} has {len(config.problems)} problems, see above")


# ------------------------------------------------------------------------------------------------ files
def _print(report: CheckReport, files: CheckFiles) -> None:
    from nncompress.cli.outputs import annotate, write_files
    from nncompress.report import github
    from nncompress.report.check_text import check_sections, failure_lines

    to_stdout = write_files(report, files)
    if not to_stdout:
        say_sections(*check_sections(report))
    if github.in_actions():
        for model in report.models:
            annotate(model.rules, model.path)
    elif to_stdout:
        for line in failure_lines(report):
            complain(line)


def _read(path: Path) -> str:
    from nncompress.files.texts import read_text

    try:
        return read_text(path)
    except InputError as error:
        raise InputError(f"baseline: {error}") from error
