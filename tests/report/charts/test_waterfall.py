"""The waterfall: bars that follow each other from the original file to the result."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from nncompress.report.charts.axes import BAR_WIDTH, LONGEST_LABEL
from nncompress.report.charts.waterfall import waterfall
from nncompress.results.record import SizeStep
from tests.sample_report import hostile_report, sample_report, stepwise_report

PIXEL = BAR_WIDTH / 1_210_000


def test_each_bar_begins_where_the_last_one_ended_and_the_last_one_is_the_file() -> None:
    bars = waterfall(stepwise_report())
    assert [(bar.name, bar.kind) for bar in bars] == [
        ("original file", "before"),
        ("normalise", "less"),
        ("prune-magnitude", "less"),
        ("quantize-weights", "less"),
        ("nodes and names", "less"),
        ("result file", "after"),
    ]
    ends = [1_210_000, 1_200_000, 950_000, 350_000, 313_500]  # 50 kB around the constants until the end
    assert [bar.at for bar in bars[:-1]] == [pytest.approx(PIXEL * end, abs=0.06) for end in ends]
    for before, bar in pairwise(bars[:-1]):
        assert bar.left == bar.at
        assert bar.left + bar.width == pytest.approx(before.at, abs=0.11)
    assert (bars[-1].left, bars[-1].width) == (0, bars[-2].at)
    assert (bars[0].left, bars[0].width) == (0, BAR_WIDTH)


def test_the_differences_add_up_to_the_file() -> None:
    assert [bar.text for bar in waterfall(stepwise_report())] == [
        "1.21 MB",
        "−10.0 kB to 1.20 MB",
        "−250 kB to 950 kB",
        "−600 kB to 350 kB",
        "−36.5 kB to 314 kB",
        "314 kB",
    ]


def test_a_step_that_puts_bytes_on_or_changes_nothing_says_so() -> None:
    steps = (SizeStep("normalise", 1_160_000), SizeStep("prune-magnitude", 1_200_000))
    same, more = waterfall(replace(stepwise_report(), steps=steps))[1:3]
    assert (same.kind, same.text, same.width) == ("less", "no change", 0)
    assert (more.kind, more.text) == ("more", "+40.0 kB to 1.25 MB")
    assert (more.left, more.at) == (same.at, BAR_WIDTH)


def test_without_figures_between_the_passes_there_is_no_chart() -> None:
    assert waterfall(sample_report()) == []
    assert waterfall(replace(stepwise_report(), ledger=())) == []


def test_names_from_elsewhere_are_escaped_and_shortened() -> None:
    bars = waterfall(hostile_report())
    assert all(bar.name.isprintable() and len(bar.label) <= LONGEST_LABEL for bar in bars)
    assert waterfall(replace(stepwise_report(), passes=()))[3].name == "last pass"


def test_figures_that_cannot_be_stay_inside_the_chart() -> None:
    for size in (-(10**30), 10**30):
        bars = waterfall(replace(stepwise_report(), steps=(SizeStep("x", size),)))
        assert all(bar.left >= 0 and bar.left + bar.width <= BAR_WIDTH + 0.1 for bar in bars)
