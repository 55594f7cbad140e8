"""The command that checks files against the hashes in a saved report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.printing import say


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
    from nncompress.errors import EXIT_GATE_FAILED, EXIT_INPUT, printable
    from nncompress.workflow.verify import verify_report

    files = verify_report(report, against_dir)
    for file in files:
        detail = f": {file.detail}" if file.detail else ""
        say(printable(f"{'PASS' if file.outcome == 'same' else 'FAIL'}  {file.part}: {file.path}{detail}"))
    outcomes = {file.outcome for file in files}
    if "differs" in outcomes:
        raise typer.Exit(EXIT_GATE_FAILED)
    if "unreadable" in outcomes:
        raise typer.Exit(EXIT_INPUT)
