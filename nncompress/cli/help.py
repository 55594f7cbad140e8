"""How the help of a command reads: what it does, examples to copy, options in groups, exit codes."""

from __future__ import annotations

import re
import sys
from typing import Any

import typer
from typer.core import TyperCommand

from nncompress.cli.pass_commands import PASS_COMMANDS
from nncompress.cli.printing import coloured

_DONE = {0: "done; warnings are allowed"}
_FOUND_WRONG = {2: "wrong usage", 3: "MODEL missing, unreadable or unsafe"}
_COMPRESSING = {
    **_DONE,
    1: "a gate failed: OUT is not written, unless --keep-failed is given",
    2: "wrong usage, option, recipe or configuration",
    3: "MODEL, data or labels missing, unreadable or unsafe",
    4: "no usable OUT: nothing to compress, not smaller, refused by onnxruntime, folder missing",
}
EXITS: dict[str, dict[int, str]] = {  # of every command, what is its own
    "inspect": {0: "done", **_FOUND_WRONG},
    **{command.name: _COMPRESSING for command in PASS_COMMANDS},
    "auto": _COMPRESSING,
    "run": _COMPRESSING,
    "sweep": {
        0: "each model has a result that passes, up to warnings",
        1: "a model has no result that passes, or a trial was lost",
        2: "wrong usage, option, recipe or configuration",
        3: "a model, data or labels missing, unreadable or unsafe",
        4: "a result or a report cannot be written",
    },
    "sensitivity": {
        0: "done",
        2: "wrong usage, option, pass or configuration",
        3: "MODEL, data or labels missing, unreadable or unsafe",
        4: "nothing to compress, no recipe keeps the bound, or a report cannot be written",
    },
    "compare": {
        **_DONE,
        1: "CAND missed a limit",
        2: "wrong usage, option or configuration",
        3: "REF, CAND, data or labels missing, unreadable or unsafe",
        4: "onnxruntime refuses CAND, or a report cannot be written",
    },
    "bench": {
        0: "done",
        2: "wrong usage, option or configuration",
        3: "a model or data missing, unreadable or unsafe",
        4: "onnxruntime refuses a model, or the report cannot be written",
    },
    "check": {
        0: "all budgets are kept, up to warnings; or --exit-zero",
        1: "a budget is missed, or a figure is worse than the baseline allows",
        2: "wrong usage or configuration: a path in it that does not exist is that, too",
        3: "a model, data or the baseline unreadable or unsafe",
        4: "a report cannot be written",
    },
    "init": {
        0: "nncompress.toml is written",
        2: "nncompress.toml exists, or there is no model",
        3: "MODEL missing, unreadable or unsafe",
        4: "nncompress.toml cannot be written",
    },
    "report": {
        0: "done, whatever the verdicts are: the commands that made the reports have judged",
        2: "wrong usage",
        3: "REPORT missing or damaged, or trials of the sweep that --merge reads have not ended",
        4: "a report cannot be written",
    },
    "verify": {
        0: "all files are the same",
        1: "a file differs",
        2: "wrong usage",
        3: "REPORT or a file missing or unreadable",
    },
    "passes": {0: "done", 2: "there is no such pass"},
    "schema": {0: "done", 2: "there is no such schema"},
    "doctor": {0: "done", 2: "wrong usage"},
}
_ALWAYS = {
    4: "the result cannot be written, or memory or open files do not suffice",
    5: "internal error",
    130: "interrupted; nothing is left behind",
}


def exits(command: str) -> dict[int, str]:
    """What each exit code that a command can end with means."""
    return dict(sorted({**_ALWAYS, **EXITS[command]}.items()))


def help_text(docstring: str) -> str:
    """The docstring with its lines `Example: COMMAND` as a block, which the shell's width does not break."""
    about, *examples = docstring.split("Example: ")
    if not examples:
        return about
    title = "Examples:" if len(examples) > 1 else "Example:"
    return "\n".join([about.rstrip(), "", "\b", title, *(f"  {example.strip()}" for example in examples)])


def in_colour(ctx: Any, text: str) -> str:
    """Titles bold and options in colour, where the terminal has colours."""
    if not coloured(sys.stdout):
        return text
    ctx.color = True  # else it is taken out where FORCE_COLOR alone asks for it
    text = re.sub(r"^[A-Z][\w /-]*:", lambda found: typer.style(found[0], bold=True), text, flags=re.MULTILINE)
    return re.sub(
        r"^  (-\S+(?: \S+)*)", lambda found: f"  {typer.style(found[1], fg='cyan')}", text, flags=re.MULTILINE
    )


class Documented(TyperCommand):
    """A command whose help shows its options in groups, its own first, and its exit codes."""

    def get_help(self, ctx: Any) -> str:
        """As ever, in colour."""
        return in_colour(ctx, super().get_help(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command in the usage line: arguments as their metavars have them."""
        return ["[OPTIONS]", *(str(parameter.metavar) for parameter in self.get_params(ctx) if _is_argument(parameter))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the arguments, the command's own options, and then those that it shares with others."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            name, text = parameter.get_help_record(ctx) or ("", "")
            if _is_argument(parameter):
                groups["Arguments"].append((str(parameter.metavar), text))
            elif name:
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append((name, text))
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exits(self.name or "").items()])


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")
