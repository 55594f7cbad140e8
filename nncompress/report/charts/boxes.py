"""Bars as boxes in a field that is FULL wide and one high, which the page stretches to the room that there is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.report.charts.axes import scaled, shortened
from nncompress.results.verdict import RuleResult

FULL = 100.0


@dataclass(frozen=True)
class Box:
    """A rectangle; its kind is its colour."""

    kind: str  # "before", "after", "less", "more", "worst", "track", or the level of a rule
    x: float
    width: float
    y: float = 0.0
    height: float = 1.0
    name: str = ""  # shown when pointed at


@dataclass(frozen=True)
class Key:
    """What a colour means, or (no kind) a remark."""

    kind: str
    text: str


@dataclass(frozen=True)
class Row:
    """A bar chart's line: what it is about, its boxes, its figures."""

    label: str
    name: str  # in full
    boxes: tuple[Box, ...]
    text: str
    level: str = ""


@dataclass(frozen=True)
class Bars:
    """A bar chart."""

    title: str
    keys: tuple[Key, ...]
    rows: tuple[Row, ...]
    caption: str = ""


def row(name: str, boxes: Iterable[Box], text: str, level: str = "") -> Row:
    """One whose name is safe to print, and shortened where it is long."""
    safe = printable(name)
    return Row(shortened(safe), safe, tuple(boxes), printable(text), level)


def pair(before: float, after: float, longest: float, kinds: tuple[str, str] = ("before", "after")) -> tuple[Box, ...]:
    """Two bars, one above the other; what is no figure has no length."""
    whole = longest if longest > 0 else 1.0
    first, second = (scaled(value, 0.0, whole, FULL) for value in (before, after))
    return Box(kinds[0], 0.0, first, 0.0, 0.44), Box(kinds[1], 0.0, second, 0.56, 0.44)


def single(value: float, longest: float, kind: str = "after") -> tuple[Box, ...]:
    """One bar."""
    return (Box(kind, 0.0, scaled(value, 0.0, longest if longest > 0 else 1.0, FULL), 0.15, 0.7),)


def of_rules(rules: Sequence[RuleResult]) -> tuple[Box, ...]:
    """One box a rule, in the colour of its level."""
    each = FULL / max(1, len(rules))
    return tuple(
        Box(
            rule.level,
            round(i * each, 2),
            round(0.92 * each, 2),
            name=f"{rule.level.upper()} {rule.rule}: {rule.figure}",
        )
        for i, rule in enumerate(rules)
    )


def against_limits(rules: Sequence[RuleResult]) -> tuple[Row, ...]:
    """Each rule with a figure and a limit above zero: the figure as a share of the limit, which is a line."""
    shares = [(rule, share) for rule in rules if (share := _share(rule)) is not None]
    most = max([1.25, *(min(share, 4.0) for _, share in shares)])
    line = round(FULL / most, 1)
    return tuple(
        row(
            rule.rule,
            (Box(rule.level, 0.0, scaled(share, 0.0, most, FULL), 0.2, 0.6), Box("limit", line - 0.25, 0.5)),
            f"{rule.figure}, limit {rule.limit}",
            rule.level,
        )
        for rule, share in shares
    )


def _share(rule: RuleResult) -> float | None:
    value, limit = rule.value, rule.limit_value
    if value is None or limit is None or limit <= 0 or not rule.limit.startswith(("<", ">")):
        return None
    return value / limit if math.isfinite(value) else None
