"""The command init: writes a first configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.printing import complain, say
from nncompress.errors import InputError, UsageError


def init(
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[MODEL]...", help="Default: every *.onnx below this folder.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite nncompress.toml if it exists.")] = False,
) -> None:
    """Write a first nncompress.toml: what the models here weigh and cost today, plus 10 %.

    Example: nncompress init
    Example: nncompress init model.onnx small.onnx --force
    """
    from nncompress.config.files import CONFIG_NAME
    from nncompress.files.texts import write_whole
    from nncompress.workflow.init import Measured, find_models, measure, starter_text

    target, here = Path(CONFIG_NAME), Path()
    if os.path.lexists(target) and not force:
        raise UsageError(f"{CONFIG_NAME} exists (--force overwrites it)")
    measured: list[Measured] = []
    for path in models or find_models(here):
        try:
            measured.append(measure(path, here))
        except InputError as error:
            if models:
                raise
            complain(f"left out: {error}")
    if not measured:
        raise UsageError("there is no model below this folder: name one, such as nncompress init path/to/model.onnx")
    write_whole(target, starter_text(measured))
    count = f"{len(measured)} budget{'s' * (len(measured) != 1)}"
    say(f"wrote {CONFIG_NAME} with {count}; edit the limits, then run nncompress check")
