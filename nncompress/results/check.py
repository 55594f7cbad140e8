"""The plain result types of `check`: the figures of each model, and the rules that its budgets made of them."""

from __future__ import annotations

from dataclasses import dataclass

from nncompress.results.record import Environment
from nncompress.results.units import format_counted
from nncompress.results.verdict import Level, RuleResult, worst_level

CHECK_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Figures:
    """What can be limited, and what a later run is compared with. None: not measured."""

    size_bytes: int  # external data included
    packed_bytes: int | None  # zstd
    params: int
    macs: int | None
    cosine: float | None = None  # of the worst output against the reference
    sqnr_db: float | None = None
    latency_ratio: float | None = None  # model / reference
    latency_ratio_low: float | None = None  # 99 % interval
    latency_ratio_high: float | None = None
    metric: float | None = None  # first task metric of the model
    drop: float | None = None  # of the task metric that lost most
    metric_name: str | None = None
    metric_higher_is_better: bool = True
    metric_is_share: bool = True
    sample_cosine: float | None = None  # of the worst sample
    sample_sqnr_db: float | None = None


@dataclass(frozen=True)
class CheckedModel:
    """One model with all its rules."""

    path: str  # relative to the configuration
    sha256: str | None  # None, like the figures, where the model, its reference or its data could not be read
    figures: Figures | None
    rules: tuple[RuleResult, ...]

    @property
    def level(self) -> Level:
        return worst_level(self.rules)


@dataclass(frozen=True)
class CheckReport:
    """Everything one `check` found out."""

    config: str
    models: tuple[CheckedModel, ...]
    environment: Environment
    notes: tuple[str, ...] = ()
    schema_version: int = CHECK_SCHEMA_VERSION

    @property
    def rules(self) -> tuple[RuleResult, ...]:
        return tuple(rule for model in self.models for rule in model.rules)

    @property
    def level(self) -> Level:
        return worst_level(self.rules)

    @property
    def unreadable(self) -> bool:
        """True if a model could not be measured at all."""
        return any(model.figures is None for model in self.models)

    @property
    def headline(self) -> str:
        """Such as "2 of 9 checks failed (1 of 3 models)"."""
        checks, models = format_counted(len(self.rules), "check"), format_counted(len(self.models), "model")
        failed = sum(rule.level == "fail" for rule in self.rules)
        warned = sum(rule.level == "warn" for rule in self.rules)
        if not self.rules:
            return "nothing to check"
        if failed:
            return f"{failed} of {checks} failed ({sum(model.level == 'fail' for model in self.models)} of {models})"
        warnings = f", {format_counted(warned, 'warning')}" if warned else ""
        return f"{checks} on {models}{warnings}"
