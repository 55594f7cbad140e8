"""Types of options that people write in more than one way: shares in percent, and lists joined by commas."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema


def _of_percent(value: Any) -> Any:
    """0.5 of "50 %"; anything else as it is, for pydantic to judge."""
    number, percent, rest = value.strip().partition("%") if isinstance(value, str) else ("", "", "")
    try:
        return float(number) / 100 if percent and not rest else value
    except ValueError:
        return value


def _apart(value: Any) -> Any:
    """("a", "b") of ["a,b"]; anything that is no list of texts as it is."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        return value
    return tuple(part.strip() for item in value for part in item.split(","))


def typed_value(text: str) -> Any:
    """A TOML value, True and False too, else the text itself."""
    bare = text.strip()
    try:
        return tomllib.loads(f"value = {bare.lower() if bare in ('True', 'False') else bare}")["value"]
    except (ValueError, RecursionError):  # no TOML, or a number of thousands of digits
        return bare


Share = Annotated[
    float,
    BeforeValidator(_of_percent),
    WithJsonSchema({"type": ["number", "string"], "pattern": r"^\s*[0-9.]+\s*%\s*$"}),
]
"""A number, or text in percent."""

Names = Annotated[tuple[str, ...], BeforeValidator(_apart)]
"""Names, each by itself or several in one text with commas between them."""
