"""The command schema: the JSON Schema of a recipe, a report or a check."""

from __future__ import annotations

from typing import Annotated

import typer

from nncompress.cli.completion import completing
from nncompress.cli.printing import say


def schema(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="recipe|report|check",
            help="What the JSON is about.",
            show_default=False,
            autocompletion=completing("recipe|report|check"),
        ),
    ],
) -> None:
    """Print the JSON Schema of a recipe, of a report (--json), or of what check --json writes.

    Example: nncompress schema recipe
    Example: nncompress schema check
    """
    from importlib.resources import files

    from nncompress.errors import UsageError, nearest

    homes = {"recipe": "nncompress.config", "report": "nncompress.report", "check": "nncompress.report"}
    if kind not in homes:
        raise UsageError(f"there is no schema {kind!r}{nearest(kind, homes)}: it is recipe, report or check")
    say(files(homes[kind]).joinpath(f"{kind}.schema.json").read_text(encoding="utf-8"))
