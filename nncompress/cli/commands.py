"""Every command in the order in which help lists them: the one place where a new command is entered."""

from __future__ import annotations

from inspect import getdoc

import typer

from nncompress.cli.app import guarded
from nncompress.cli.bench import bench
from nncompress.cli.budgets import check, init
from nncompress.cli.compare import compare
from nncompress.cli.compressing import factorize, prune, quantize, run
from nncompress.cli.help import Documented, help_text
from nncompress.cli.looking import doctor, inspect, passes, schema
from nncompress.cli.report import report
from nncompress.cli.sweep import sweep
from nncompress.cli.verify import verify

ALL_COMMANDS = (
    inspect,
    quantize,
    prune,
    factorize,
    run,
    sweep,
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


def register(app: typer.Typer) -> None:
    """Enters all commands into `app`."""
    for command in ALL_COMMANDS:
        shown = help_text(getdoc(command) or "")
        app.command(name=command.__name__, cls=Documented, help=shown)(guarded(command))
