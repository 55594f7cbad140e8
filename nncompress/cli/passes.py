"""The command passes: lists the passes, or documents one."""

from __future__ import annotations

from typing import Annotated

import typer

from nncompress.cli.completion import pass_names
from nncompress.cli.printing import say_sections


def passes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Document this pass.", show_default=False, autocompletion=pass_names),
    ] = None,
) -> None:
    """List the passes, or document one with its options.

    Example: nncompress passes
    Example: nncompress passes quantize-weights
    """
    from nncompress.cli.pass_texts import document, summaries

    if name is None:
        known = summaries()
        width = max(map(len, known))
        say_sections([f"{name:{width}}  {text}" for name, text in known.items()])
    else:
        say_sections(document(name).splitlines())
