"""Types of options that people write in more than one way: shares in percent, lists with commas, numbers or words."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema


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


def _number_or_word(value: Any) -> Any:
    """A whole number above 0, also of text, "auto" or "all"."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if number in ("auto", "all") or (type(number) is int and number > 0):
        return number
    raise ValueError(f"takes a number of channels, auto or all, not {value!r}")


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


def zeros_problem(sparsity: float) -> str | None:
    """What is wrong with a share of zeros."""
    return None if 0 <= sparsity < 1 else f"sparsity must be from 0 to below 1, not {sparsity}"


GroupSize = Annotated[
    int | Literal["auto", "all"],
    PlainValidator(_number_or_word),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "pattern": r"^(auto|all|[1-9][0-9]*)$"}),
]
"""So many channels, as many as pay, or all."""

Names = Annotated[tuple[str, ...], BeforeValidator(_apart)]
"""Names, each by itself or several in one text with commas between them."""
