"""The JSON Schema of a pass, from its own class: its fields are its options, with their texts."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

from pydantic import TypeAdapter

from nncompress.passes.base import Pass


def step_schema(kind: type[Pass]) -> dict[str, Any]:
    """The JSON Schema of a step of a recipe: the fields with their texts.

    "x-option" is how the option of a field is spelled on the command line, where that is not --its-name; "x-metavar" is
    how its value is shown there.
    """
    schema = TypeAdapter(kind).json_schema()
    texts = field_texts(kind)
    properties: dict[str, Any] = {"pass": {"const": kind.name}}
    for field in dataclasses.fields(kind):
        spelled = {f"x-{key}": field.metadata[key] for key in ("option", "metavar") if key in field.metadata}
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
