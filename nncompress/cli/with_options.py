"""Gives a command the options of dataclasses, and their values from wherever they were set.

`with_options(Kind)` gives a command one parameter for every field of Kind, and calls it with an instance instead.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from nncompress.cli.options import SeedOptions, option
from nncompress.cli.printing import say_sections
from nncompress.cli.settings import Layer, Layers, Resolved, check_variables, config_files, configured, resolve, shown
from nncompress.cli.usage import with_source
from nncompress.errors import InputError, UsageError


@dataclasses.dataclass(frozen=True)
class Invocation:
    """Where the values of the options come from. A command may complete what was asked for on the command line and in
    the environment in several ways."""

    completed: Callable[[list[Layer]], tuple[dict[str, Any], typing.Mapping[str, str]]]
    """The instances of its option classes, by parameter, with the rest taken from these layers; and all sources."""
    config: list[Path] = dataclasses.field(default_factory=list)
    """The configuration files, the one that counts most first."""
    configured: list[Layer] = dataclasses.field(default_factory=list)
    """What they set."""
    sources: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """{option that can be set from elsewhere: where its value comes from}"""


def with_options(
    *kinds: type, layers: Layers = lambda options, configuration: configuration
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces a command's parameters annotated with one of `kinds` by that kind's fields.

    `layers` says which files besides the configuration set options that are not given.
    """
    shares = any(issubclass(kind, SeedOptions) for kind in kinds)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        places: dict[str, type] = {}
        invocations = [name for name, hint in hints.items() if hint is Invocation]
        for name, parameter in inspect.signature(command).parameters.items():
            kind = hints[name]
            if kind is Invocation:
                continue
            if kind not in kinds:
                parameters.append(parameter.replace(annotation=kind))
                continue
            places[name] = kind
            fields = typing.get_type_hints(kind, include_extras=True)
            parameters += [
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=fields[f.name])
                for f in dataclasses.fields(kind)
            ]

        @functools.wraps(command)
        def run(ctx: typer.Context, show_config: bool = False, **parsed: Any) -> None:
            resolved, files, configuration = Resolved(parsed, {}), [], []
            if shares:
                check_variables()
                files = config_files(parsed)
                configuration = configured(files)
                resolved = resolve(ctx, parsed, layers(parsed, configuration))
                if show_config:
                    say_sections(shown(resolved).splitlines())
                    return
            completed = functools.partial(_completed, ctx, parsed, places)
            invocation = Invocation(completed, files, configuration, resolved.sources)
            values = resolved.values
            shared = {f.name for kind in places.values() for f in dataclasses.fields(kind)}
            own = {key: value for key, value in values.items() if key not in shared and key not in _CONFIG}
            try:
                command(**own, **_built(places, values), **dict.fromkeys(invocations, invocation))
            except (UsageError, InputError) as error:
                said = with_source(str(error), resolved, ctx)
                raise error if said == str(error) else type(error)(said) from error

        parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
        parameters += _CONFIG.values() if shares else []
        parameters.insert(0, _CONTEXT)
        signature = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature}
        return run

    return decorate


def _completed(
    context: typer.Context, parsed: typing.Mapping[str, Any], places: typing.Mapping[str, type], more: list[Layer]
) -> tuple[dict[str, Any], typing.Mapping[str, str]]:
    resolved = resolve(context, parsed, more)
    return _built(places, resolved.values), resolved.sources


def _built(places: typing.Mapping[str, type], values: typing.Mapping[str, Any]) -> dict[str, Any]:
    return {name: kind(**{f.name: values[f.name] for f in dataclasses.fields(kind)}) for name, kind in places.items()}


_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _config_option(name: str, kind: Any, default: Any, text: str, metavar: str | None = None) -> inspect.Parameter:
    told = option(f"--{name.replace('_', '-')}", group="Configuration", text=text, metavar=metavar)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, told]
    )  # fmt: skip


_CONFIG = {
    parameter.name: parameter
    for parameter in (
        _config_option(
            "config", Path | None, None, "Read this file (a pyproject.toml, too) instead of the nncompress.toml or "
            "pyproject.toml that is found here or in a folder above.", "FILE",
        ),
        _config_option("no_config", bool, False, "Read no configuration file."),
        _config_option("show_config", bool, False, "Print options and their sources; do nothing else."),
    )
}  # fmt: skip
