"""The plain result types of rules: what each made of its figure, and the level that counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class RuleResult:
    """One rule, its figure and its limit, both as text for people and as numbers for machines."""

    rule: str  # "cosine", "sqnr", "drop", "size", "ratio", "latency-ratio", "finite", "interface", ...
    level: Level
    figure: str  # "0.99931 (output 'logits')"
    limit: str  # ">= 0.99"
    advice: str  # what to do about it; "" when passed
    value: float | None = None
    limit_value: float | None = None

    @property
    def told(self) -> str:
        """Figure and limit in one line, and what to do."""
        measured = f"{self.figure}, limit {self.limit}"
        return f"{measured}; {self.advice}" if self.advice else measured


@dataclass(frozen=True)
class Verdict:
    """All rules; the worst level counts."""

    rules: tuple[RuleResult, ...]

    @property
    def level(self) -> Level:
        return worst_level(self.rules)


def worst_level(rules: Iterable[RuleResult]) -> Level:
    """The level that counts."""
    levels = {rule.level for rule in rules}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"
