"""The waterfall: bars that follow each other from the original file to the result."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from nncompress.report.charts.axes import LONGEST_LABEL
from nncompress.report.charts.boxes import FULL, Box, Row
from nncompress.report.charts.waterfall import waterfall
from nncompress.results.record import Report, SizeStep
from tests.sample_report import hostile_report, sample_report, stepwise_report

PERCENT = FULL / 1_210_000


def rows_of(report: Report) -> tuple[Row, ...]:
    bars = waterfall(report)
    assert bars is not None
    return bars.rows


def box_of(row: Row) -> Box:
    (box,) = row.boxes
    return box


def test_each_bar_begins_where_the_last_one_ended_and_the_last_one_is_the_file() -> None:
    rows = rows_of(stepwise_report())
    assert [(row.name, box_of(row).kind) for row in rows] == [
        ("original file", "before"),
        ("normalise", "less"),
        ("prune-magnitude", "less"),
        ("quantize-weights", "less"),
        ("nodes and names", "less"),
        ("result file", "after"),
    ]
    ends = [1_200_000, 950_000, 350_000, 313_500]  # 50 kB around the constants until the end
    assert [box_of(row).x for row in rows[1:-1]] == [pytest.approx(PERCENT * end, abs=0.06) for end in ends]
    for before, row in pairwise(rows[1:-1]):
        assert box_of(row).x + box_of(row).width == pytest.approx(box_of(before).x, abs=0.11)
    assert (box_of(rows[-1]).x, box_of(rows[-1]).width) == (0, box_of(rows[-2]).x)
    assert (box_of(rows[0]).x, box_of(rows[0]).width) == (0, FULL)


def test_the_differences_add_up_to_the_file() -> None:
    assert [row.text for row in rows_of(stepwise_report())] == [
        "1.21 MB",
        "−10.0 kB to 1.20 MB",
        "−250 kB to 950 kB",
        "−600 kB to 350 kB",
        "−36.5 kB to 314 kB",
        "314 kB",
    ]


def test_a_step_that_puts_bytes_on_says_so_and_one_that_changes_nothing_is_left_out() -> None:
    steps = (SizeStep("normalise", 1_160_000), SizeStep("prune-magnitude", 1_200_000))
    bars = waterfall(replace(stepwise_report(), steps=steps))
    assert bars is not None
    assert [row.name for row in bars.rows[:2]] == ["original file", "prune-magnitude"]
    assert (box_of(bars.rows[1]).kind, bars.rows[1].text) == ("more", "+40.0 kB to 1.25 MB")
    assert [key.text for key in bars.keys] == ["original", "taken off", "put on", "result"]
    plain = waterfall(stepwise_report())
    assert plain is not None
    assert [key.text for key in plain.keys] == ["original", "taken off", "result"]


def test_without_figures_between_the_passes_there_is_no_chart() -> None:
    assert waterfall(sample_report()) is None
    assert waterfall(replace(stepwise_report(), ledger=())) is None


def test_names_from_elsewhere_are_escaped_and_shortened() -> None:
    assert all(row.name.isprintable() and len(row.label) <= LONGEST_LABEL for row in rows_of(hostile_report()))
    assert rows_of(replace(stepwise_report(), passes=()))[3].name == "last pass"


def test_figures_that_cannot_be_stay_inside_the_chart() -> None:
    for size in (-(10**30), 10**30):
        boxes = [box_of(row) for row in rows_of(replace(stepwise_report(), steps=(SizeStep("x", size),)))]
        assert all(box.x >= 0 and box.x + box.width <= FULL + 0.31 for box in boxes)
