"""The command line: which commands there are, and how errors become one line on stderr and an exit code."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nncompress.cli import interrupts
from nncompress.cli.help import in_colour
from nncompress.cli.printing import complain
from nncompress.cli.progress import draw, progress_shown
from nncompress.cli.usage import usage_message
from nncompress.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_NO_OUTPUT, EXIT_USAGE, NncompressError, lacking

EXIT_CODES = """
Exit codes: 0 done (warnings allowed); 1 a gate failed; 2 wrong usage; 3 input unreadable or unsafe;
4 no usable output (nothing to compress, larger, refused by onnxruntime); 5 internal error; 130 interrupted.
"""
_WORK = "nncompress.workflow.compress"  # imports all C extensions but onnxruntime's, which runs in a child
_UsageError: Any = typer.BadParameter.__base__  # what typer raises for every command line that it cannot understand


class _State:
    debug = False


class _Commands(TyperGroup):
    """The commands, with one line for a command line that cannot be understood, and help for an empty one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(EXIT_USAGE)
        return super().parse_args(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """As ever, in colour."""
        return in_colour(ctx, super().get_help(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does it; `help COMMAND` is `COMMAND --help`, and commands of other tools are known."""
        if args == ["help"]:
            typer.echo(ctx.get_help())
            raise typer.Exit
        if args[0] == "help":
            args = [*args[1:], "--help"]
        if args[0] not in self.commands and not ctx.resilient_parsing:
            from nncompress.cli.synonyms import command_meant

            if meant := command_meant(args[0], self.commands):
                ctx.fail(meant)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        """Runs the command line and ends the process with its exit code."""
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except _UsageError as error:
            from nncompress.cli.synonyms import option_meant

            message = option_meant(error) or usage_message(error)
            where = error.ctx.command_path if error.ctx is not None else self.name
            complain(f"error: {message}; see {where} -h")
            code = EXIT_USAGE
        except NncompressError as error:  # help and the version are printed outside of `guarded`
            complain(f"error: {error}")
            code = error.exit_code
        sys.exit(code)


app = typer.Typer(
    name="nncompress",
    cls=_Commands,
    help="Makes a saved ONNX model smaller, runs it against the original, and proves what it cost.\n\n"
    "nncompress help COMMAND shows examples, every option, and exit codes.\n" + EXIT_CODES,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(show_version: bool) -> None:
    if show_version:
        from importlib.metadata import version

        typer.echo(f"nncompress {version('nncompress')}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run models in this process, for debuggers: a crash ends it.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    if in_process:
        from nncompress.runtime.child import run_in_process

        run_in_process()
    _State.debug = debug or os.environ.get("NNCOMPRESS_DEBUG", "") not in ("", "0")


def guarded(command: Callable[..., None], *, works: bool = True) -> Callable[..., None]:
    """The command with every error turned into one line on stderr and its exit code. `works`: it needs the libraries
    that take time to load, and may have something to leave behind."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            try:
                with progress_shown(command.__name__) if works else nullcontext():
                    if works:
                        import_module(_WORK)
                        interrupts.begin_work()
                        draw()
                    command(*args, **options)
            finally:
                interrupts.end_work()
        except NncompressError as error:
            _fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail(interrupts.MESSAGE, EXIT_INTERRUPTED)
        except (typer.Exit, SystemExit):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: one line and exit 5
            if interrupts.came():
                _fail(interrupts.MESSAGE, EXIT_INTERRUPTED)
            if lacks := lacking(error):
                _fail(lacks, EXIT_NO_OUTPUT)
            _fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)", EXIT_INTERNAL)

    return run


def _fail(message: str, code: int) -> None:
    if _State.debug:
        traceback.print_exc()
    complain(f"error: {message}")
    raise typer.Exit(code)
