"""Limits and metrics as people type them in a TOML or JSON file: "4 MB", "1 %", "30 dB", plain numbers, "f1"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from nncompress.errors import UsageError
from nncompress.results.units import parse_bytes, parse_count, parse_db, parse_share
from nncompress.validate.metrics.names import check_metric


def _reading(parse: Callable[[str], float]) -> Callable[[Any], Any]:
    """Lets pydantic report what `parse` says about a string or a number of a TOML file."""

    def read(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{value!r} is neither text nor a number")
        try:
            return parse(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from error

    return read


def _cosine(text: str) -> float:
    value = _number(text)
    if not -1 <= value <= 1:
        raise UsageError(f"{text} is no cosine: it must lie between -1 and 1")
    return value


def _ratio(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise UsageError(f"{text} is no ratio: it must be above 0")
    return value


def _figure(text: str) -> float:
    """A share in percent, or any finite number."""
    value = parse_share(text) if text.rstrip().endswith("%") else _number(text)
    if not math.isfinite(value):
        raise UsageError(f"{text} is no limit: it must be finite")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a number") from error


def _metrics(value: Any) -> Any:
    """One name, or a list of names."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{value!r} is neither the name of a metric nor a list of names")
    for name in names:
        try:
            check_metric(name)
        except UsageError as error:
            raise ValueError(str(error)) from error
    return tuple(names)


_TYPED = WithJsonSchema({"type": ["string", "number"]})
Bytes = Annotated[int | None, BeforeValidator(_reading(parse_bytes)), _TYPED]
Count = Annotated[int | None, BeforeValidator(_reading(parse_count)), _TYPED]
Share = Annotated[float | None, BeforeValidator(_reading(parse_share)), _TYPED]
Db = Annotated[float | None, BeforeValidator(_reading(parse_db)), _TYPED]
Cosine = Annotated[float | None, BeforeValidator(_reading(_cosine)), _TYPED]
Ratio = Annotated[float | None, BeforeValidator(_reading(_ratio)), _TYPED]
Number = Annotated[float | None, BeforeValidator(_reading(_figure)), _TYPED]
Metrics = Annotated[
    tuple[str, ...],
    BeforeValidator(_metrics),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
