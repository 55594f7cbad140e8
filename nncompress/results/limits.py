"""What users may limit: each limit once, with its text and how it is written and read.

Options, recipes, configurations, budgets and rules all take their limits from here.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from nncompress.errors import UsageError, nearest
from nncompress.results.units import (
    parse_bytes,
    parse_cosine,
    parse_count,
    parse_db,
    parse_drop,
    parse_figure,
    parse_ratio,
    parse_share,
)

Aim = Literal["size", "speed", "both", "accuracy"]
"""What a compression is for."""


def must_shrink(aim: Aim) -> bool:
    """True where a result that is not smaller is refused."""
    return aim in ("size", "both")


@dataclass(frozen=True)
class Limit:
    """What is said about a limit in the annotation of its field."""

    text: str
    parse: Callable[[str], float]  # raises UsageError for what cannot be meant
    rule: str  # that judges it
    metavar: str | None = None  # of the option where it is typed with a unit; None: a plain number

    def read(self, value: str | float) -> float:
        """What `parse` makes of text or of a number."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise UsageError(f"{value!r} is neither text nor a number")
        return self.parse(str(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Lets pydantic read a field as `read` does."""
        from pydantic import BeforeValidator  # here, for the help of commands reads limits too

        return BeforeValidator(self._validated).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Any text or number: JSON Schema cannot say which."""
        return {"type": ["string", "number"], "description": self.text}

    def _validated(self, value: Any) -> Any:
        try:
            return None if value is None else self.read(value)
        except UsageError as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True)
class RunLimits:
    """On how a model runs against the original; None, here and below: no such limit."""

    min_cosine: Annotated[float | None, Limit("Least cosine of the worst output.", parse_cosine, "cosine")] = None
    min_sqnr: Annotated[float | None, Limit("Least SQNR of the worst output, in dB.", parse_db, "sqnr")] = None
    min_sample_cosine: Annotated[
        float | None, Limit("Least cosine of the worst sample of any output.", parse_cosine, "sample-cosine")
    ] = None
    min_sample_sqnr: Annotated[
        float | None, Limit("Least SQNR of the worst sample of any output, in dB.", parse_db, "sample-sqnr")
    ] = None
    max_drop: Annotated[float | None, Limit('Largest drop of a task metric: "0.5 %".', parse_drop, "drop", "SHARE")] = (
        None
    )
    max_latency_ratio: Annotated[
        float | None, Limit("Largest latency, as new / old.", parse_ratio, "latency-ratio")
    ] = None


@dataclass(frozen=True)
class SizeLimits:
    """On the file, external data included."""

    max_size: Annotated[int | None, Limit('Largest file: "4 MB", "1.5 MiB".', parse_bytes, "max-size", "SIZE")] = None


@dataclass(frozen=True)
class Limits(SizeLimits, RunLimits):
    """Gates: a missed one ends with exit code 1. Without one the default of its rule applies, where it has one."""

    min_ratio: Annotated[float | None, Limit("Least number of times smaller.", parse_ratio, "ratio")] = None


@dataclass(frozen=True)
class MetricLimits:
    """On what a model reaches, whatever the original does: on each task metric that this way is better for."""

    min_metric: Annotated[
        float | None, Limit("Least value, where higher is better.", parse_share, "metric", "SHARE")
    ] = None
    max_metric: Annotated[
        float | None, Limit("Largest value, where lower is better.", parse_figure, "max-metric", "FIGURE")
    ] = None


@dataclass(frozen=True)
class BudgetLimits(MetricLimits, RunLimits, SizeLimits):
    """Those of a budget, which judges a model by itself."""

    max_packed_size: Annotated[
        int | None, Limit("Largest file, packed by zstd.", parse_bytes, "max-packed-size", "SIZE")
    ] = None
    max_params: Annotated[int | None, Limit("Most parameters.", parse_count, "max-params", "COUNT")] = None
    max_macs: Annotated[int | None, Limit("Most multiply-accumulates.", parse_count, "max-macs", "COUNT")] = None


def names_of(kind: type) -> list[str]:
    """The names of the limits that `kind` declares."""
    return [field.name for field in dataclasses.fields(kind)]


def limits_in(kind: type) -> dict[str, Limit]:
    """{field: what is said about it} of the limits that `kind` declares."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: typing.get_args(hints[name])[1] for name in names_of(kind)}


def read_limits(values: Mapping[str, Any], spelled: Callable[[str], str] = str) -> Limits:
    """Limits from numbers and text with units, {"max_drop": "1 %"}; None: no limit. Raises UsageError that names the
    limit, as it is `spelled`, for one that there is not or that cannot be meant."""
    known = limits_in(Limits)
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"unknown limit {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
        try:
            read[name] = None if value is None else known[name].read(value)
        except UsageError as error:
            raise UsageError(f"{spelled(name)}: {error}") from error
    return Limits(**read)


def are_set(kind: type, limits: object) -> list[str]:
    """The names of those limits of `kind` that `limits` has."""
    return [name for name in names_of(kind) if getattr(limits, name) is not None]
