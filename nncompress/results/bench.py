"""The plain result types of `bench`: what loading and running each model costs on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nncompress.results.record import Environment, Timing

BENCH_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Energy:
    """What one inference takes."""

    millijoules: float
    kind: Literal["measured", "estimated"]
    source: str  # of the figure


@dataclass(frozen=True)
class Benched:
    """One model."""

    path: str
    file_bytes: int
    inputs: tuple[str, ...]  # "image float32 1×64"
    load_ms: float
    peak_bytes: int | None
    latency: Timing
    ratio: float  # latency / that of the first model, with its 99 % interval
    ratio_low: float
    ratio_high: float
    energy: Energy | None  # None: neither measured, nor are all shapes known that an estimate needs
    macs: int | None = None  # multiply-accumulates on these inputs; None: not known


@dataclass(frozen=True)
class BenchReport:
    """Everything one `bench` found out."""

    models: tuple[Benched, ...]
    data: str  # path, or "synthetic"
    seed: int
    threads: int
    seconds: float
    environment: Environment
    notes: tuple[str, ...] = ()
    schema_version: int = BENCH_SCHEMA_VERSION
