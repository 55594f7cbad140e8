"""Passes from text, `NAME:option=value,...` as on a command line, or from a table of options; and back to text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import UsageError, nearest
from nncompress.passes import pass_named
from nncompress.passes.base import Pass

_LISTS = {"include", "exclude"}


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
    types = get_type_hints(kind)
    values = {key: _choice(value, get_args(types[key])) for key, value in options.items() if key in known}
    step = None
    try:
        step = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        problems += [_explained(e["loc"], e["msg"], e["input"]) for e in error.errors()]
    problem = step.problem() if step is not None else None
    if problem:
        problems.append(problem)
    if problems or step is None:
        raise UsageError(f"{name}: {'; '.join(problems)}")
    return step


def _choice(value: object, choices: tuple[object, ...]) -> object:
    """The one of `choices` that was typed: pydantic reads "8" as an int, but not as the Literal 8."""
    return next((choice for choice in choices if isinstance(value, str) and value == str(choice)), value)


def _explained(place: tuple[str | int, ...], message: str, value: object) -> str:
    """Such as "bits: input should be 8, not '4'"."""
    return f"{'.'.join(map(str, place))}: {message[0].lower()}{message[1:]}, not {value!r}"


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
