"""Every command in the order in which help lists them: the one place where a new command is entered."""

from __future__ import annotations

import typer

from nncompress.cli.app import guarded
from nncompress.cli.compare import compare
from nncompress.cli.compressing import factorize, prune, quantize, run
from nncompress.cli.looking import doctor, inspect, passes

ALL_COMMANDS = (inspect, quantize, prune, factorize, run, compare, passes, doctor)


def register(app: typer.Typer) -> None:
    """Enters all commands into `app`."""
    for command in ALL_COMMANDS:
        app.command(name=command.__name__)(guarded(command))
