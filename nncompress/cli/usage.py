"""What is said of a command line that cannot be understood, and where a value came from that cannot be meant."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import typer

from nncompress.cli.settings import Resolved
from nncompress.errors import explained

_EXTRA = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)", re.DOTALL)
_DATA, _RECIPES = (".npz", ".npy", ".pb"), (".toml", ".json")


def usage_message(error: Any) -> str:
    """What typer says of a command line, on one line: the value, what it had to be, and the variable that set it."""
    message = str(error.format_message()).rstrip(".")
    refused = getattr(error.__cause__, "errors", None)
    if refused is not None and getattr(error, "param", None) is not None:
        return _refused(error.param, error.ctx, refused()[0])
    extra = _EXTRA.fullmatch(message)
    if extra and error.ctx is not None:
        return _left_over(extra[1], error.ctx)
    return f"{message[:1].lower()}{message[1:]}"


def with_source(message: str, resolved: Resolved, context: typer.Context) -> str:
    """The message of an error, with the variable, or the file and its key, that set what it is about."""
    from nncompress.config.settings import key_of

    spelled = {p.name or "": p.opts[0] for p in context.command.params if p.opts}
    for name, source in resolved.sources.items():
        if source in ("default", "command line") or source in message:
            continue
        option = spelled.get(name, f"--{name}")
        if _is_about(message, option, resolved.values[name]):
            place = source if source.isidentifier() else f"{key_of(name)} in {source}"
            return f"{message} ({option} is set by {place})"
    return message


def _refused(param: Any, context: Any, details: Mapping[str, Any]) -> str:
    option = param.opts[0] if param.opts[0].startswith("-") else str(param.metavar)
    variable = str(param.envvar or "")
    from_variable = (
        context is not None and getattr(context.get_parameter_source(param.name), "name", "") == "ENVIRONMENT"
    )
    name = f"{variable} (for {option})" if from_variable and variable in os.environ else option
    return explained(details, name)


def _left_over(arguments: str, context: Any) -> str:
    """`arguments` came after all that the command takes."""
    named = [param for param in context.command.params if param.param_type_name == "argument"]
    takes = " ".join(str(param.metavar) for param in named) or "no arguments"
    endings = [os.path.splitext(text)[1] for text in (arguments, *map(str, context.params.values()))]  # noqa: PTH122
    hint = ""
    if endings[0] in _DATA:
        hint = ": samples are given with --data"
    elif any(ending in _RECIPES for ending in endings):
        hint = ": nncompress run takes a recipe and a model"
    elif takes == "MODEL":
        hint = ": nncompress sweep takes several models"
    return f"unexpected argument {arguments!r}, it takes {takes}{hint}"


def _is_about(message: str, option: str, value: Any) -> bool:
    """Whether a message names the option, or the value that it was given."""
    values = value if isinstance(value, list | tuple) else [value]
    texts = [str(each) for each in values if isinstance(each, str | os.PathLike) and str(each)]
    named = re.search(rf"{re.escape(option)}(?![\w-])", message) is not None
    return named or any(repr(text) in message or message.startswith(f"{text}:") for text in texts)
