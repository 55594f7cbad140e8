"""Charts of the values of a weight, drawn by hand for a few."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from nncompress.report.charts.values import HEIGHT, HISTOGRAM_WIDTH, MOST_CHARTS, MOST_TICKS, value_charts
from nncompress.results.weight_values import WeightValues
from tests.sample_report import stepwise_report, values

W, H = HISTOGRAM_WIDTH, HEIGHT
SMALL = WeightValues("[w]", 12.5, -1.0, 1.0, (4, 0), (1, 3), ((-1.0, -1.0), (0.0, 0.5), (1.0, 0.5)))


def chart_of(one: WeightValues) -> list[object]:
    return list(value_charts(replace(stepwise_report(), worst_values=(one,))))


def test_histograms_share_an_axis_and_a_scale_of_square_roots() -> None:
    (chart,) = value_charts(replace(stepwise_report(), worst_values=(SMALL,)))
    assert chart.before == f"M0 {H:g}V0H{W / 2:g}V{H:g}H{W:g}V{H:g}Z"
    assert chart.after == f"M0 {H:g}V{H / 2:g}H{W / 2:g}V{H * (1 - math.sqrt(3 / 4)):.1f}H{W:g}V{H:g}Z"
    assert [(tick.at, tick.label) for tick in chart.ticks] == [
        (0, "-1"), (W / 2, "0"), (W, "1"),
    ]  # fmt: skip


def test_pairs_are_dots_and_what_did_not_change_lies_on_the_diagonal() -> None:
    (chart,) = value_charts(replace(stepwise_report(), worst_values=(SMALL,)))
    assert chart.dots == f"M0 {H:g}h0M{H / 2:g} {H / 4:g}h0M{H:g} {H / 4:g}h0"
    assert [(x.at, x.label) for x in chart.x_ticks] == [(H - y.at, y.label) for y in chart.y_ticks]


def test_equal_dots_are_drawn_once() -> None:
    (chart,) = value_charts(replace(stepwise_report(), worst_values=(replace(SMALL, pairs=((0.0, 0.5),) * 9),)))
    assert chart.dots.count("h0") == 1


def test_the_caption_says_how_many_values_are_counted() -> None:
    (sample,) = value_charts(stepwise_report())
    assert sample.caption == "[w]: SQNR 12.5 dB, a sample of 5,760 of 37,500 values."
    (all_of_them,) = value_charts(replace(stepwise_report(), worst_values=(replace(values("x"), weight="not listed"),)))
    assert all_of_them.caption == "not listed: SQNR 12.5 dB, 5,760 values."


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.5), (1e-30, 3e-30), (-3e38, 3e38), (5.0, 5.000001), (-1e-9, 7.0)])
def test_ticks_are_few_and_everything_is_inside_whatever_the_range(low: float, high: float) -> None:
    (chart,) = value_charts(replace(stepwise_report(), worst_values=(values("x", low=low, high=high),)))
    assert 2 <= len(chart.ticks) <= 8
    assert 2 <= len(chart.x_ticks) <= MOST_TICKS
    for path, width in ((chart.before, W), (chart.after, W), (chart.dots, H)):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        assert all(0 <= number <= width for number in numbers)


@pytest.mark.parametrize(
    "changes",
    [
        {"low": math.nan}, {"high": math.inf}, {"low": 1.0}, {"low": 2.0}, {"counts_after": (1,)},
        {"counts_before": (), "counts_after": ()}, {"low": -1.7e308, "high": 1.7e308},
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_left_out(changes: dict[str, object]) -> None:
    assert chart_of(replace(SMALL, **changes)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", [(), ((math.nan, 1.0), (0.5, math.inf))])
def test_without_finite_pairs_the_histograms_remain(pairs: tuple[tuple[float, float], ...]) -> None:
    (chart,) = value_charts(replace(stepwise_report(), worst_values=(replace(SMALL, pairs=pairs),)))
    assert chart.dots == ""
    assert chart.before.startswith("M0")


def test_values_that_hardly_moved_are_no_picture_and_many_look_alike() -> None:
    near = replace(SMALL, pairs=tuple((b, b + 0.01) for b, _ in SMALL.pairs))
    assert chart_of(near) == []
    assert len(value_charts(replace(stepwise_report(), worst_values=(SMALL,) * 4))) == MOST_CHARTS
