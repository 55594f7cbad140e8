"""Bars as boxes."""

from __future__ import annotations

import math

from nncompress.report.charts.boxes import against_limits, lanes, of_rules, single
from nncompress.results.verdict import RuleResult


def rule(value: float | None, limit_value: float | None, limit: str = "<= 4", level: str = "pass") -> RuleResult:
    return RuleResult("max-size", level, "3", limit, "", value, limit_value)  # type: ignore[arg-type]


def test_lanes_share_the_height_and_what_is_no_figure_has_no_length() -> None:
    first, second = lanes([("before", 4.0), ("after", math.nan)], 8.0)
    assert (first.x, first.width, second.width) == (0, 50, 0)
    assert first.y + first.height < second.y
    assert second.y + second.height <= 1
    assert lanes([("after", 1.0)], 0.0)[0].width == 100
    assert [box.kind for box in single(1.0, 2.0)] == ["track", "after"]


def test_a_rule_is_drawn_against_its_limit() -> None:
    kept, missed = against_limits([rule(3.0, 4.0), rule(8.0, 4.0, level="fail")])
    line = kept.boxes[-1]
    assert (line.kind, line.x + line.width / 2) == ("limit", 50)
    assert [box.width for box in kept.boxes[:2]] == [100, 37.5]
    assert (missed.level, missed.boxes[1].kind, missed.boxes[1].width) == ("fail", "fail", 100)


def test_rules_without_a_figure_or_a_limit_above_zero_have_no_bar() -> None:
    none = [rule(None, 4.0), rule(3.0, None), rule(3.0, 0.0), rule(math.inf, 4.0), rule(1.0, 1.0, "all equal")]
    assert against_limits(none) == ()
    assert of_rules([]) == ()
