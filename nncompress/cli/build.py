"""From parsed options to what the workflow takes, and from its report to what is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from nncompress.cli.options import LimitOptions, ProofOptions, ReportOptions, SelectOptions, WriteOptions
from nncompress.errors import EXIT_GATE_FAILED, NoOutputError, UsageError
from nncompress.passes.base import Pass
from nncompress.recipe import make_pass
from nncompress.report.record import Report
from nncompress.report.verdict import Limits
from nncompress.workflow import Proof, Writing


def proof_of(options: ProofOptions, *, validate: bool = True) -> Proof:
    """Raises UsageError for options that cannot be meant."""
    if options.labels and not options.data:
        raise UsageError("--labels needs --data: labels belong to samples")
    if options.bench_threads < 1 or options.seconds < 0:
        raise UsageError("--bench-threads must be at least 1 and --seconds at least 0")
    return Proof(
        validate,
        options.data,
        options.labels,
        _dims(options.dim or ()),
        options.seed,
        options.bench_threads,
        options.seconds,
    )


def _dims(given: Sequence[str]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for text in given:
        name, _, size = text.rpartition("=")
        if not name or not size.isascii() or not size.isdigit() or int(size) < 1:
            raise UsageError(f"--dim {text!r} is not NAME=SIZE, such as batch=1")
        dims[name] = int(size)
    return dims


def limits_of(options: LimitOptions) -> Limits:
    """Raises UsageError for sizes and shares that cannot be read."""
    from nncompress.report.units import parse_bytes, parse_share

    return Limits(
        options.min_cosine,
        options.min_sqnr,
        parse_share(options.max_drop) if options.max_drop else None,
        parse_bytes(options.max_size) if options.max_size else None,
        options.min_ratio,
        options.max_latency_ratio,
    )


def writing_of(options: WriteOptions) -> Writing:
    """Raises UsageError for an unknown form."""
    if options.form not in ("folded", "dequantize"):
        raise UsageError(f"unknown form {options.form!r}: it is folded or dequantize")
    threads = options.threads or os.cpu_count() or 1
    return Writing(
        "dequantize" if options.form == "dequantize" else "folded", options.external_data, options.force,
        options.keep_failed, threads, options.dry_run,
    )  # fmt: skip


def target_of(target: Path | None, writing: Writing, source: Path) -> Path:
    """The output path; only a dry run can do without one."""
    if target is None and not writing.dry_run:
        raise UsageError("name the model to write with -o OUT (or try --dry-run)")
    return target or source.with_name(f"{source.stem}.small.onnx")


def pass_of(name: str, select: SelectOptions, **options: Any) -> Pass:
    """The pass with the options that were given; None means not given."""
    given = {
        "include": tuple(select.include or ()) or None,
        "exclude": tuple(select.exclude or ()) or None,
        "min_size": select.min_size,
        **options,
    }
    return make_pass(name, {key: value for key, value in given.items() if value is not None})


def finish(report: Report, options: ReportOptions) -> None:
    """Prints and writes the report; ends with exit code 1 if a gate failed."""
    renderers: list[tuple[Path | None, Callable[[Report], str]]] = [
        (options.json, _json),
        (options.markdown, _markdown),
        (options.html, _html),
    ]
    on_stdout = [path for path, _ in renderers if path == Path("-")]
    if len(on_stdout) > 1:
        raise UsageError("only one of --json, --markdown and --html can go to stdout")
    for path, render in renderers:
        if path is not None:
            _write(path, render(report))
    if not on_stdout:
        _print(report, options)
    if report.verdict.level == "fail":
        _print_failures(report)
        raise typer.Exit(EXIT_GATE_FAILED)


def _print(report: Report, options: ReportOptions) -> None:
    from nncompress.report.text import print_report, render_text

    if options.quiet:
        sys.stdout.write(render_text(report).partition("\n")[0] + "\n")
    else:
        print_report(report, sys.stdout, verbose=options.verbose)


def _print_failures(report: Report) -> None:
    from nncompress.errors import printable

    for rule in report.verdict.rules:
        if rule.level == "fail":
            line = f"nncompress: {rule.rule} failed: {rule.figure}, limit {rule.limit}. {rule.advice}"
            sys.stderr.write(printable(line) + "\n")


def _json(report: Report) -> str:
    from nncompress.report.json_report import to_json

    return to_json(report)


def _markdown(report: Report) -> str:
    from nncompress.report.markdown import render_markdown

    return render_markdown(report)


def _html(report: Report) -> str:
    from nncompress.report.html_report import render_html

    return render_html(report)


def _write(path: Path, text: str) -> None:
    from nncompress.model.files import reason

    if path == Path("-"):
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NoOutputError(f"cannot write the report {path}: {reason(error)}") from error
