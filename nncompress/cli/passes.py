"""The command passes: lists the passes, or documents one."""

from __future__ import annotations

from typing import Annotated

import typer

from nncompress.cli.completion import pass_names
from nncompress.cli.printing import say


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
    from nncompress.passes import ALL_PASSES, pass_named
    from nncompress.passes.document import document, summary

    if name is None:
        width = max(len(kind.name) for kind in ALL_PASSES)
        say("\n".join(f"{kind.name:{width}}  {summary(kind)}" for kind in ALL_PASSES))
    else:
        say(document(pass_named(name)))
