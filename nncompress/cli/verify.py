"""The command that checks files against the hashes in a saved report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nncompress.cli.printing import say_sections
from nncompress.errors import printable

if TYPE_CHECKING:
    from nncompress.workflow.verify import Verified


def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report written with --json.", show_default=False)],
    against_dir: Annotated[
        Path | None,
        typer.Option("--against-dir", metavar="DIR", help="Look for the files in this folder.", show_default=False),
    ] = None,
) -> None:
    """Check that the files of a saved report are still the same, by their SHA-256.

    Example: nncompress verify report.json
    Example: nncompress verify report.json --against-dir models
    """
    from nncompress.errors import EXIT_GATE_FAILED, EXIT_INPUT
    from nncompress.workflow.verify import verify_report

    files = verify_report(report, against_dir)
    same = sum(file.outcome == "same" for file in files)
    level = "PASS" if same == len(files) else "FAIL"
    say_sections([_line(file) for file in files], [f"{level}  {same} of {len(files)} files are the same"])
    outcomes = {file.outcome for file in files}
    if "differs" in outcomes:
        raise typer.Exit(EXIT_GATE_FAILED)
    if "unreadable" in outcomes:
        raise typer.Exit(EXIT_INPUT)


def _line(file: Verified) -> str:
    level = "PASS" if file.outcome == "same" else "FAIL"
    return printable(f"{level}  {file.part}: {file.path}" + (f": {file.detail}" if file.detail else ""))
