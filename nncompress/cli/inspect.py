"""The command inspect: what is in a model, or the difference between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.printing import say, say_sections


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
    from nncompress.report.inspect_text import (
        difference_json,
        difference_sections,
        inspection_json,
        inspection_sections,
    )
    from nncompress.workflow.inspect import inspect_file

    first = inspect_file(source)
    if other is None:
        if as_json:
            say(inspection_json(first))
        else:
            say_sections(*inspection_sections(first, verbose=verbose))
        return
    second = inspect_file(other)
    if as_json:
        say(difference_json(first, second))
    else:
        say_sections(*difference_sections(first, second))
