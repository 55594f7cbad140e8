"""The command inspect: what is in a model, or the difference between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.printing import say


def inspect(
    source: Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX model to read.", show_default=False)],
    other: Annotated[
        Path | None, typer.Argument(metavar="[MODEL2]", help="Show the difference to this one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every weight.")] = False,
) -> None:
    """Show what is in a model, where the bytes are, and what could be compressed.

    Example: nncompress inspect model.onnx
    Example: nncompress inspect model.onnx small.onnx --json
    """
    from nncompress.report.inspect_text import difference_json, difference_text, inspection_json, inspection_text
    from nncompress.workflow.inspect import inspect_file

    first = inspect_file(source)
    if other is None:
        say(inspection_json(first) if as_json else inspection_text(first, verbose=verbose))
        return
    second = inspect_file(other)
    say(difference_json(first, second) if as_json else difference_text(first, second))
