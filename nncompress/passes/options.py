"""Checks the options of a pass against the types of its fields: a dataclass itself takes anything."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import explained


def read_options(kind: type, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values as the fields of `kind` take them ("8" is 8, a list is a tuple), and what is wrong with the others."""
    read, problems = {}, []
    for name, adapter in _adapters(kind).items():
        if name not in values:
            continue
        try:
            read[name] = adapter.validate_python(_choice(values[name], _types(kind)[name]))
        except ValidationError as error:
            problems += [explained(details, ".".join(map(str, (name, *details["loc"])))) for details in error.errors()]
    return read, problems


def _choice(value: object, kind: Any) -> object:
    """The one of the choices that was typed: pydantic reads "8" as an int, but not as the Literal 8."""
    return next((choice for choice in get_args(kind) if isinstance(value, str) and value == str(choice)), value)


@functools.cache
def _types(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@functools.cache
def _adapters(kind: type) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(of) for name, of in _types(kind).items()}
