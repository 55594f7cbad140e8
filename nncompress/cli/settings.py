"""Where the value of an option comes from: the command line, the environment, a recipe, or a configuration file.

typer itself reads flags and `NNCOMPRESS_*`; what neither of them sets is looked up here. An option can be set from
elsewhere if it is declared with `shared_option` in options.py, which is the only place that lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from nncompress.errors import UsageError, nearest, printable

PREFIX = "NNCOMPRESS_"
COMMAND_LINE, DEFAULT = "command line", "default"  # the sources that are no file and no variable
variables = {"NNCOMPRESS_DEBUG"}
"""The variables that mean something; each shared option adds its own."""


@dataclass(frozen=True)
class Layer:
    """The options that one file sets."""

    source: str
    values: Mapping[str, Any]


Layers = Callable[[Mapping[str, Any], list[Layer]], list[Layer]]
"""From the options as given and the layers of the configuration to all layers, the one that counts most first."""


@dataclass(frozen=True)
class Resolved:
    """Values of all options, and the source of each that can be set from elsewhere."""

    values: Mapping[str, Any]
    sources: Mapping[str, str]


def config_files(options: Mapping[str, Any]) -> list[Path]:
    """The file that --config names, none with --no-config, else those that hold in the current folder."""
    from nncompress.config.files import settings_files

    named, none = options["config"], options["no_config"]
    if named is not None and none:
        raise UsageError("--config FILE and --no-config exclude each other")
    if named is not None:
        return [named]
    return [] if none else settings_files(Path())


def configured(files: Sequence[Path]) -> list[Layer]:
    """What these configuration files set."""
    from nncompress.config.budget import load_settings

    return [Layer(str(path), load_settings(path)) for path in files]


def check_variables() -> None:
    """Raises UsageError for a variable that is nearly one of an option: a limit with a typo would be lost."""
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in variables:
            likely = nearest(name.removeprefix(PREFIX), sorted(known.removeprefix(PREFIX) for known in variables))
            if likely:
                raise UsageError(f"unknown variable {name}{likely} after {PREFIX}")


def resolve(context: typer.Context, parsed: Mapping[str, Any], layers: list[Layer]) -> Resolved:
    """`parsed` completed from `layers`. Labels do not outlive data that is set in a place that counts more."""
    names = {p.name or "": str(p.envvar) for p in context.command.params if str(p.envvar or "").startswith(PREFIX)}
    values, ranks, sources = dict(parsed), {}, {}
    for name, variable in names.items():
        kind = getattr(context.get_parameter_source(name), "name", "DEFAULT")
        if kind != "DEFAULT":
            ranks[name], sources[name] = 0, variable if kind == "ENVIRONMENT" else COMMAND_LINE
            continue
        rank = next((n for n, layer in enumerate(layers) if name in layer.values), None)
        sources[name] = DEFAULT if rank is None else layers[rank].source
        if rank is not None:
            ranks[name], values[name] = 1 + rank, layers[rank].values[name]
    if "labels" in ranks and ranks.get("data", ranks["labels"]) < ranks["labels"]:
        values["labels"], sources["labels"] = None, DEFAULT
    return Resolved(values, sources)


def shown(resolved: Resolved) -> str:
    """One line for each option that can be set from elsewhere: name, value, where it comes from."""
    rows = [
        (name, printable(_text(resolved.values[name])), printable(source)) for name, source in resolved.sources.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {source}" for name, value, source in rows)


def _text(value: Any) -> str:
    return "-" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)
