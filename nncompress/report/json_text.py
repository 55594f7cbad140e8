"""JSON as every result of nncompress is written, and as saved ones are read back.

It is plain ASCII, so that a hostile name cannot act on a terminal, and never holds the old mark of a command of GitHub
Actions. JSON has no NaN or infinity: they are written as the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import InputError, explained
from nncompress.report.github import COMMAND_MARK

NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
NONFINITE_SCHEMA = {"Nonfinite": {"enum": list(NONFINITE)}}
LARGEST_NUMBER = 2**63 - 1  # of the whole ones
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
_T = TypeVar("_T")


def dumped(tree: Any) -> str:
    """`tree` as indented JSON, ending in a newline."""
    text = json.dumps(encoded(tree), indent=2, allow_nan=False) + "\n"
    return text.replace(COMMAND_MARK, "##\\u005b")  # it stands in strings only, and means the same there


def encoded(value: Any) -> Any:
    """`value` with numbers and characters that JSON cannot hold spelled out."""
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str):  # a lone surrogate, from a file name that is not UTF-8, could not be read back
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def with_nonfinite(schema: Any) -> Any:
    """`schema` with every number allowed to be one of the three strings."""
    if isinstance(schema, list):
        return [with_nonfinite(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number":
        return {"anyOf": [schema, {"$ref": "#/$defs/Nonfinite"}]}
    return {key: with_nonfinite(item) for key, item in schema.items()}


# ------------------------------------------------------------------------------------------------ reading
def parsed(text: str) -> Any:
    """The tree of a saved report. Raises InputError for text that is not JSON, or not as nncompress writes it."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise InputError(f"report is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise InputError("report is not one of nncompress: it is nested too deeply") from error


def validated(kind: TypeAdapter[_T], tree: Any, version: int) -> _T:
    """The record that was written as `tree`.

    Raises InputError, naming the place, for another version of the schema, a missing field or a value of the wrong
    type (a number in quotes is one).
    """
    if not isinstance(tree, dict) or "schema_version" not in tree:
        raise InputError("not a report of nncompress: there is no field 'schema_version' at the top")
    written_version = tree["schema_version"]
    if type(written_version) is not int or written_version != version:
        raise InputError(
            f"report follows schema version {written_version!r}, this nncompress reads version {version}: "
            "use the nncompress that wrote it, or run the comparison again"
        )
    try:
        return kind.validate_json(json.dumps(tree), strict=True)
    except ValidationError as first:
        if not _restore_nonfinite(tree, first):
            raise InputError(_explained(first)) from first
    try:
        return kind.validate_json(json.dumps(tree), strict=True)
    except ValidationError as second:
        raise InputError(_explained(second)) from second


def _whole(digits: str) -> int:
    """One that cannot be counted up to is no figure of a report, and more than a float can hold."""
    if len(digits.lstrip("-")) > len(str(LARGEST_NUMBER)) or abs(number := int(digits)) > LARGEST_NUMBER:
        raise InputError("report is damaged: it holds a whole number of more than 64 bits")
    return number


def _refuse_constant(name: str) -> float:
    raise InputError(f"report is not JSON: bare {name} (a report writes it in quotes)")


def _restore_nonfinite(tree: dict[str, Any], error: ValidationError) -> bool:
    """Puts NaN and infinities where a number was wanted and its spelling found; False where there was none."""
    places = [e["loc"] for e in error.errors() if e["type"] == "float_type" and e["input"] in list(NONFINITE)]
    for place in places:
        *parents, last = _steps(tree, place)
        holder: Any = tree
        for step in parents:
            holder = holder[step]
        holder[last] = NONFINITE.get(holder[last], holder[last])  # two types of a union may name the same place
    return bool(places)


def _steps(tree: Any, place: tuple[int | str, ...]) -> list[int | str]:
    """`place` without the names of types that pydantic puts in for the members of a union."""
    steps: list[int | str] = []
    holder: Any = tree
    for step in place:
        if isinstance(holder, dict) and step not in holder:
            continue
        holder = holder[step]
        steps.append(step)
    return steps


def _explained(error: ValidationError) -> str:
    first = error.errors()[0]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"report is damaged: {explained(first, place)}{more}"
