"""Every command in the order in which help lists them: the one place where a new command is entered."""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import getdoc

import typer

from nncompress.cli import interrupts
from nncompress.cli.app import app, guarded
from nncompress.cli.auto import auto
from nncompress.cli.bench import bench
from nncompress.cli.check import check
from nncompress.cli.compare import compare
from nncompress.cli.compress import pass_command, run
from nncompress.cli.doctor import doctor
from nncompress.cli.help import Documented, help_text
from nncompress.cli.init import init
from nncompress.cli.inspect import inspect
from nncompress.cli.pass_commands import PASS_COMMANDS
from nncompress.cli.passes import passes
from nncompress.cli.report import report
from nncompress.cli.schema import schema
from nncompress.cli.sensitivity import sensitivity
from nncompress.cli.streams import open_streams
from nncompress.cli.sweep import sweep
from nncompress.cli.verify import verify

ALL_COMMANDS: tuple[Callable[..., None], ...] = (
    inspect,
    *map(pass_command, PASS_COMMANDS),
    auto,
    run,
    sweep,
    sensitivity,
    compare,
    bench,
    check,
    init,
    report,
    verify,
    passes,
    schema,
    doctor,
)


_QUICK = (passes, schema, doctor)


def register(app: typer.Typer) -> None:
    """Enters all commands into `app`."""
    for command in ALL_COMMANDS:
        shown = help_text(getdoc(command) or "")
        app.command(name=command.__name__, cls=Documented, help=shown)(guarded(command, works=command not in _QUICK))


def run_commands() -> None:
    """Runs the command line, and ends the process with its exit code."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    open_streams()
    register(app)
    try:
        app()
    finally:
        interrupts.ignore()
