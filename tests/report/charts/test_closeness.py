"""Charts of what a result does well, at their edges."""

from __future__ import annotations

import math
from dataclasses import replace

from nncompress.report.charts import closeness as charts
from nncompress.report.charts.axes import PLOT_HEIGHT
from nncompress.results.record import ClassMetric, Rewritten, TaskMetric
from tests.sample_report import LEDGER, labelled_run, output, sampled, weight

WITH_LOW = (*LEDGER, weight("tiny", 400, 100, Rewritten("tiny", "prune", "", 40.0)))


def test_a_scatter_leaves_out_what_has_no_finite_sqnr_and_names_outliers() -> None:
    exact = weight("exact", 400, 100, Rewritten("exact", "share", "64 values", math.inf))
    scatter = charts.size_against_sqnr((*LEDGER, exact), 100)
    assert scatter is not None
    assert [point.name for point in scatter.points] == [
        "[w]: 38.0 kB, 12.5 dB",
        "conv2.weight: 226 kB, 38.2 dB",
        "conv1.weight: 26.0 kB, 41.5 dB",
    ]
    assert scatter.caption == ("Much lower than the median of 38.2 dB: [w] (12.5 dB). They are the first to leave out.")
    assert [tick.label for tick in scatter.x_ticks] == [
        "10.0 kB", "20.0 kB", "50.0 kB", "100 kB", "200 kB", "500 kB", "1.00 MB",
    ]  # fmt: skip


def test_without_outliers_the_lowest_is_named() -> None:
    near = tuple(weight(f"w{i}", 4000, 1000, Rewritten("w", "q", "", 40.0 + i)) for i in range(5))
    scatter = charts.size_against_sqnr(near, 3)
    assert scatter is not None
    assert len(scatter.points) == 3
    assert scatter.caption == (
        "None lies more than 6 dB below the median of 42.0 dB; the lowest is w0 (40.0 dB). Drawn are the 3 lowest of 5."
    )


def test_a_scatter_of_few_or_equal_weights_says_nothing_and_is_not_drawn() -> None:
    assert charts.size_against_sqnr(LEDGER[:2], 100) is None
    alike = tuple(weight(f"w{i}", 4000, 1000, Rewritten("w", "q", "", 45.0 + 0.1 * i)) for i in range(9))
    assert charts.size_against_sqnr(alike, 100) is None


def test_a_weight_of_no_bytes_and_a_negative_sqnr_has_a_place() -> None:
    gone = replace(LEDGER[0], bytes_after=0, sqnr_db=-3.0)
    scatter = charts.size_against_sqnr((gone, *WITH_LOW), 100)
    assert scatter is not None
    assert scatter.points[0].x == 0
    assert all(0 <= point.y <= PLOT_HEIGHT for point in scatter.points)


def test_metrics_and_classes_are_drawn_where_they_tell_more_than_a_tile() -> None:
    run = labelled_run()
    assert charts.metric_bars(run) is None
    same = (ClassMetric(0, 9, 1.0, 1.0),)
    assert charts.class_bars(replace(run, metrics=(TaskMetric("top-1", 1.0, 1.0, 9, classes=same),))) is None
    many = tuple(ClassMetric(i, 9, 1.0, 1.0 - i / 100) for i in range(50))
    bars = charts.class_bars(replace(run, metrics=(TaskMetric("top-1", 1.0, 0.9, 9, classes=many),)))
    assert bars is not None
    assert (len(bars.rows), bars.rows[0].label, bars.caption) == (20, "class 49", "The 20 that lost most of 50.")
    assert [box.width for box in bars.rows[0].boxes] == [100, 51]
    errors = (TaskMetric("mse", 0.2, 0.4, 9, False, False), TaskMetric("f1", math.nan, 0.5, 9))
    drawn = charts.metric_bars(replace(run, metrics=errors))
    assert drawn is not None
    assert [[box.width for box in row.boxes] for row in drawn.rows] == [[50, 100], [0, 50]]


def test_several_outputs_have_a_bar_each_and_their_worst_sample() -> None:
    bars = charts.output_bars(labelled_run(outputs=(output("a", deployed=sampled()), output("b"))))
    assert bars is not None
    assert [row.text for row in bars.rows] == ["44.0 dB, worst 16.5 dB", "44.0 dB"]
    assert [box.kind for box in bars.rows[0].boxes] == ["track", "track", "after", "worst"]
    assert charts.output_bars(labelled_run(outputs=(output(),))) is None
    assert [box.width for box in charts.db_pair(math.inf, -3.0)] == [100, 100, 100, 0]
