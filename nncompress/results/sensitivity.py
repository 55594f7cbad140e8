"""The plain result types of `sensitivity`: what compressing each weight alone, and all but it, does to the outputs."""

from __future__ import annotations

from dataclasses import dataclass, field

from nncompress.results.record import Environment, FeedFacts

SENSITIVITY_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Effect:
    """How close a result is. None: not measured, or for the SQNR that every output is equal."""

    sqnr_db: float | None  # of the worst output
    cosine: float | None
    identical: bool
    metric_drop: float | None  # of the task metric that lost most: of a share its difference, else the relative change


@dataclass(frozen=True)
class SensitiveWeight:
    """One weight that the passes rewrite."""

    name: str
    ops: tuple[str, ...]  # operators that read it
    bytes_before: int
    bytes_after: int
    alone: Effect  # this weight alone is compressed
    without: Effect  # all but this one are


@dataclass(frozen=True)
class Spared:
    """What is left as it is so that a bound holds, and what is reached then."""

    bound: str  # "SQNR >= 40 dB, drop <= 1 %"
    names: tuple[str, ...]
    effect: Effect
    recipe: str  # its file


@dataclass(frozen=True)
class SensitivityReport:
    """Everything one `sensitivity` found out; the most sensitive weight comes first."""

    path: str
    passes: tuple[str, ...]
    weights: tuple[SensitiveWeight, ...]
    everything: Effect  # all are compressed
    metric: str | None  # the task metric that lost most
    metric_is_share: bool
    feeds: FeedFacts
    environment: Environment
    spared: Spared | None = None
    notes: tuple[str, ...] = ()
    schema_version: int = field(default=SENSITIVITY_SCHEMA_VERSION)
