"""Documents passes as plain text, from the JSON Schema of recipes: their fields are their options."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from nncompress.cli.recipe_schema import steps_by_pass
from nncompress.errors import UsageError, nearest

_KINDS = {"integer": "whole number", "number": "number", "boolean": "true|false", "string": "text"}


def summaries() -> dict[str, str]:
    """The first line on each pass, by name."""
    return {name: str(step["description"]).partition("\n")[0] for name, step in steps_by_pass().items()}


def document(name: str) -> str:
    """Everything a user needs to know about a pass. Raises UsageError with the nearest names."""
    steps = steps_by_pass()
    if name not in steps:
        raise UsageError(f"unknown pass {name!r}{nearest(name, steps)}; there are: {', '.join(steps)}")
    options = {field: schema for field, schema in steps[name]["properties"].items() if field != "pass"}
    lines = [name, "", steps[name]["description"], "", "options:"]
    for field, schema in options.items():
        lines.append(f"  {field}={_shown(schema['default'])}  ({_values(schema)})")
        lines.append(textwrap.fill(schema["description"], 100, initial_indent="      ", subsequent_indent="      "))
    lines += ["", f"as a step: -p {name}:{list(options)[-1]}=..., or in a recipe: pass = {name!r}"]
    return "\n".join(lines)


def _shown(value: object) -> str:
    """A default as files and options spell it."""
    return "none" if value in (None, []) else str(value).lower() if isinstance(value, bool) else str(value)


def _values(schema: Mapping[str, Any]) -> str:
    """What an option takes."""
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return "list of names" if "x-metavar" in schema else "list of globs"
    if isinstance(schema.get("type"), list):
        return "number or percent" if "number" in schema["type"] else str(schema["x-metavar"])
    return _KINDS[schema["type"]] if "type" in schema else _values(schema["anyOf"][0])
