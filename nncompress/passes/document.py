"""Documents a pass from its own class, for people and as a JSON Schema: its fields are its options."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from nncompress.passes.base import Pass

_KINDS = {int: "whole number", float: "number", bool: "true|false", str: "text"}


def summary(kind: type[Pass]) -> str:
    """First line of the docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def document(kind: type[Pass]) -> str:
    """Everything a user needs to know about a pass, as plain text."""
    texts, types = field_texts(kind), get_type_hints(kind)
    lines = [kind.name, "", inspect.getdoc(kind) or "", "", "options:"]
    for field in dataclasses.fields(kind):
        lines.append(f"  {field.name}={_shown(field.default)}  ({_values(types[field.name])})")
        lines.append(textwrap.fill(texts.get(field.name, ""), 100, initial_indent="      ", subsequent_indent="      "))
    lines += [
        "",
        f"as a step: -p {kind.name}:{dataclasses.fields(kind)[-1].name}=..., or in a recipe: pass = {kind.name!r}",
    ]
    return "\n".join(lines)


def step_schema(kind: type[Pass]) -> dict[str, Any]:
    """The JSON Schema of a step of a recipe: the fields with their texts.

    "x-option" is how the option of a field is spelled on the command line, where that is not --its-name.
    """
    schema = TypeAdapter(kind).json_schema()
    texts = field_texts(kind)
    properties: dict[str, Any] = {"pass": {"const": kind.name}}
    for field in dataclasses.fields(kind):
        spelled = {"x-option": field.metadata["option"]} if "option" in field.metadata else {}
        properties[field.name] = {**schema["properties"][field.name], "description": texts[field.name], **spelled}
    return {**schema, "properties": properties, "required": ["pass"]}


def field_texts(kind: type[Pass]) -> dict[str, str]:
    """The string under each field, inherited ones included."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Pass):
            texts |= _own_field_texts(base)
    return texts


def _own_field_texts(kind: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            texts[field.target.id] = " ".join(str(text.value.value).split())  # type: ignore[attr-defined]
    return texts


def _shown(value: object) -> str:
    """A default as files and options spell it."""
    return "none" if value in (None, ()) else str(value).lower() if isinstance(value, bool) else str(value)


def _values(kind: Any) -> str:
    """What an option of this type takes."""
    choices = [choice for choice in get_args(kind) if choice is not type(None)]
    if get_origin(kind) is Literal:
        return "|".join(map(str, choices))
    if get_origin(kind) is tuple:
        return "list of globs"
    return _KINDS[kind] if kind in _KINDS else _values(choices[0])
