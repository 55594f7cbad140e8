"""The command inspect: what is in a model, or the difference between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.options import InspectFiles
from nncompress.cli.printing import say_sections
from nncompress.cli.with_options import with_options


@with_options(InspectFiles)
def inspect(
    source: Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX model to read.", show_default=False)],
    other: Annotated[
        Path | None, typer.Argument(metavar="[MODEL2]", help="Show the difference to this one.", show_default=False)
    ] = None,
    *,
    files: InspectFiles,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every weight.")] = False,
) -> None:
    """Show what is in a model, where the bytes are, and what could be compressed.

    Example: nncompress inspect model.onnx
    Example: nncompress inspect model.onnx small.onnx --json -
    """
    from nncompress.cli.inputs import inputs_of
    from nncompress.cli.outputs import STDOUT, check_reports, write_text
    from nncompress.report.inspect_text import (
        difference_json,
        difference_sections,
        inspection_json,
        inspection_sections,
    )
    from nncompress.workflow.inspect import inspect_file

    check_reports(files, inputs_of([source] if other is None else [source, other]))
    first = inspect_file(source)
    second = inspect_file(other) if other is not None else None
    if files.json is not None:
        write_text(files.json, inspection_json(first) if second is None else difference_json(first, second))
    if files.json == STDOUT:
        return
    if second is None:
        say_sections(*inspection_sections(first, verbose=verbose))
    else:
        say_sections(*difference_sections(first, second))
