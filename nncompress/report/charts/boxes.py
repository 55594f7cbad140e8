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


def lanes(bars: Sequence[tuple[str, float]], longest: float) -> tuple[Box, ...]:
    """Bars of (kind, figure) below each other; what is no figure has no length."""
    height = 1.0 / len(bars) - 0.06 * (len(bars) > 1)
    whole = longest if longest > 0 else 1.0
    return tuple(
        Box(kind, 0.0, scaled(figure, 0.0, whole, FULL), round(i / len(bars) + 0.06 * (i > 0), 3), round(height, 3))
        for i, (kind, figure) in enumerate(bars)
    )


def pair(before: float, after: float, longest: float) -> tuple[Box, ...]:
    """The original above the result."""
    return lanes([("before", before), ("after", after)], longest)


def single(figure: float, longest: float, kind: str = "after") -> tuple[Box, ...]:
    """One bar on a track as long as the longest."""
    return *lanes([("track", longest)], longest), *lanes([(kind, figure)], longest)


def of_rules(rules: Sequence[RuleResult]) -> tuple[Box, ...]:
    """One box a rule, in the colour of its level."""
    each = FULL / max(1, len(rules))
    return tuple(
        Box(
            rule.level,
            round(i * each, 2),
            round(each - min(1.0, 0.08 * each), 2),
            name=printable(f"{rule.level.upper()} {rule.rule}: {rule.figure}"),
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
            (*single(share, most, rule.level), Box("limit", line - 0.25, 0.5)),
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
