"""Options of commands that run passes, made from the fields of the passes: nothing about a pass is written here.

The fields are read from the JSON Schema of recipes, which is written from the passes and tested to be theirs: importing
the passes takes three times as long as the help of a command may.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

from nncompress.cli.calibration_options import CorrectionOptions
from nncompress.cli.options import option
from nncompress.cli.recipe_schema import steps_by_pass
from nncompress.errors import UsageError

if TYPE_CHECKING:
    from nncompress.passes.base import Pass

Fields = Mapping[str, Mapping[str, Any]]
"""{field of a pass: its JSON Schema}"""

_SELECTING = ("include", "exclude", "op_types", "min_size")  # which weights a pass works on
_TYPES: dict[str, Any] = {"integer": int, "number": float, "boolean": bool, "string": str, "array": list[str]}
_METAVARS = {"array": "GLOB"}
_ACTIVATIONS, _TABLES = "activations", "tables"
_NOT_ASKED_FOR = "float; static where another of these options is given"


def pass_options(passes: Sequence[str], on_request: Collection[str] = ()) -> type:
    """A dataclass with an Annotated field for each option of these passes, for `with_options`; None: not given."""
    by_pass = {name: dict(_fields_by_pass()[name]) for name in passes}
    for own in (by_pass[name] for name in on_request if _ACTIVATIONS in by_pass[name]):
        own[_ACTIVATIONS] = {**own[_ACTIVATIONS], "default": _NOT_ASKED_FOR}
    return options_of(by_pass)


def options_of(fields_by_pass: Mapping[str, Fields]) -> type:
    """The same from the fields; those of the same name in several passes are one option."""
    shared: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, own in fields_by_pass.items():
        for field, schema in own.items():
            shared.setdefault(field, {})[name] = schema
    order = sorted(shared, key=lambda field: field in _SELECTING)  # after those that only these passes have
    options: list[tuple[str, Any, Any]] = [(field, _annotated(field, shared[field]), None) for field in order]
    return make_dataclass("PassOptions", options, frozen=True)


def passes_of(
    names: Sequence[str], options: Any, on_request: Collection[str] = (), *, fast: bool = False
) -> list[Pass]:
    """The passes with what was given of `options`; those `on_request` where an option of their own was given, or where
    the result is to be `fast`. Raises UsageError for options that cannot be meant."""
    from nncompress.passes.spec import make_pass

    values = {field.name: getattr(options, field.name) for field in fields(options)}
    values = {field: value for field, value in values.items() if value not in (None, [])}
    if fast and on_request:
        values.setdefault(_ACTIVATIONS, "mixed")
        values.setdefault(_TABLES, "floats")
    names = [name for name in names if name not in on_request or _own_fields(name, names) & set(values)]
    if values.get(_ACTIVATIONS) == "float":
        names = [name for name in names if name not in on_request]
    try:
        return [
            make_pass(name, {f: value for f, value in values.items() if f in _fields_by_pass()[name]}) for name in names
        ]
    except UsageError as error:
        raise UsageError(_as_spelled(str(error))) from error


def _own_fields(name: str, names: Sequence[str]) -> set[str]:
    """Options that no other of the passes has."""
    others = {field for other in names if other != name for field in _fields_by_pass()[other]}
    return set(_fields_by_pass()[name]) - others


def _as_spelled(message: str) -> str:
    """The message with options by the names that they have here, where these are not those of the fields."""
    for own in _fields_by_pass().values():
        for field, schema in own.items():
            spelled = str(schema.get("x-option", "")).partition("/")[0]
            if spelled and schema.get("type") != "boolean":
                message = re.sub(rf"\b{field} must", f"{spelled} must", message)
    return message


def corrections(options: CorrectionOptions) -> list[Pass]:
    """The passes that make up for the errors of others where there are data for them."""
    from nncompress.files.places import MADE_UP
    from nncompress.passes.correct_biases import CorrectBiases

    real = options.calibration is not None and options.calibration != MADE_UP
    return [CorrectBiases()] if real and options.correct_biases else []


@functools.cache
def _fields_by_pass() -> dict[str, Fields]:
    return {
        name: {field: schema for field, schema in step["properties"].items() if field != "pass"}
        for name, step in steps_by_pass().items()
    }


# ------------------------------------------------------------------------------------------------ one option
def _annotated(field: str, by_pass: Mapping[str, Mapping[str, Any]]) -> Any:
    """Its type with what typer has to know; type and spelling are those of the first pass that has the field."""
    first, schema = next(iter(by_pass.items()))
    spelled = schema.get("x-option", _spelled(field, schema))
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    metavar = schema.get("x-metavar") or "|".join(map(str, values)) or _METAVARS.get(_type(schema))
    text = _by_pass({name: other["description"] for name, other in by_pass.items()})
    default = _by_pass({name: _default(other["default"], spelled) for name, other in by_pass.items()})
    shown = f"{text[0].upper()}{text[1:]}." + (f" [default: {default}]" if default else "")
    group = "Weights" if field in _SELECTING else first.replace("-", " ").capitalize()
    kind = str if values else _TYPES[_type(schema)]  # of listed values the pass says itself what is wrong with one
    return Annotated[kind | None, option(spelled, group=group, text=shown, metavar=metavar)]


def _spelled(field: str, schema: Mapping[str, Any]) -> str:
    name = field.replace("_", "-")
    return f"--{name}/--no-{name}" if schema.get("type") == "boolean" else f"--{name}"


def _type(schema: Mapping[str, Any]) -> str:
    """The name of the JSON type, null left out; of several that of text, which the pass reads itself."""
    kinds = [variant["type"] for variant in schema.get("anyOf", [schema])]
    (name,) = {kind if isinstance(kind, str) else "string" for kind in kinds} - {"null"}
    return str(name)


def _default(value: Any, spelled: str) -> str:
    """As typed; "" where there is none."""
    if isinstance(value, bool):
        return spelled.split("/")[not value].removeprefix("--")
    return "" if value in (None, []) else str(value)


def _by_pass(texts: Mapping[str, str]) -> str:
    """One text where all passes say the same; else each with the name of its pass."""
    different = set(texts.values())
    if len(different) == 1:
        return different.pop()
    return "; ".join(f"{name}: {text}" for name, text in texts.items() if text)
