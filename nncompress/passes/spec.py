"""Passes from text, `NAME:option=value,...` as on a command line, or from a table of options; and back to text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nncompress.errors import UsageError, nearest
from nncompress.passes import pass_named
from nncompress.passes.base import Pass

_LISTS = {"include", "exclude", "op_types", "dynamic", "rules"}


def parse_step(text: str) -> Pass:
    """A pass from `NAME` or `NAME:option=value,option=value`; globs may be given several times."""
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{text!r}: {part!r} is not option=value")
        if key in _LISTS:
            options[key] = (*options.get(key, ()), value)
        elif key in options:
            raise UsageError(f"{text!r}: {key} is given twice")
        else:
            options[key] = value
    return make_pass(name, options)


def make_pass(name: str, options: Mapping[str, Any]) -> Pass:
    """The pass `name` with these options. Raises UsageError that lists everything wrong with them."""
    kind = pass_named(name)
    known = [field.name for field in dataclasses.fields(kind)]
    problems = [f"unknown option {key!r}{nearest(key, known)}" for key in options if key not in known]
    try:
        step = kind(**{key: value for key, value in options.items() if key in known})
    except UsageError as error:
        problems.append(str(error).removeprefix(f"{name}: "))
    if problems:
        raise UsageError(f"{name}: {'; '.join(problems)}")
    return step


def described(step: Pass) -> str:
    """`NAME:option=value,...` with the options that differ from their defaults; `parse_step` reads it."""
    options = []
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        if value != field.default:
            options += [f"{field.name}={item}" for item in _items(value)]
    return f"{step.name}:{','.join(options)}" if options else step.name


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, tuple) else (value,)
