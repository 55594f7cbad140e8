"""Chart geometry, at its edges."""

from __future__ import annotations

import math
from dataclasses import replace

from nncompress.report.charts import axes as charts
from nncompress.results.record import Latency, Rewritten, Timing
from tests.sample_report import LEDGER, latency, weight


def test_bars_are_in_proportion_to_the_largest() -> None:
    bars = charts.weight_bars(LEDGER, 2)
    assert [bar.name for bar in bars] == ["conv2.weight", "[w]"]
    assert bars[0].before == charts.BAR_WIDTH
    assert bars[1].before == round(charts.BAR_WIDTH / 6, 1)
    assert bars[0].text == "900 kB → 226 kB (3.98x smaller)"
    assert charts.weight_bars((), 5) == []


def test_categories_sum_the_bytes_of_their_weights() -> None:
    assert [(bar.name, bar.text.split(" (")[0]) for bar in charts.category_bars(LEDGER)] == [
        ("Conv", "1.15 MB → 290 kB"),
        ("(graph)", "50.0 kB → 13.5 kB"),
        ("(other constants)", "9.60 kB → 9.60 kB"),
    ]


def test_long_names_keep_their_end() -> None:
    (bar,) = charts.weight_bars((weight("encoder." * 20 + "query", 100, 50),), 1)
    assert len(bar.label) == charts.LONGEST_LABEL
    assert bar.label.startswith("…")
    assert bar.label.endswith("query")
    assert bar.name == "encoder." * 20 + "query"


def test_scatter_leaves_out_what_has_no_finite_sqnr() -> None:
    exact = weight("exact", 400, 100, Rewritten("exact", "share", "64 values", math.inf))
    scatter = charts.size_against_sqnr((*LEDGER, exact))
    assert scatter is not None
    assert [point.name for point in scatter.points] == [
        "conv1.weight: 26.0 kB, 41.5 dB",
        "conv2.weight: 226 kB, 38.2 dB",
        "[w]: 38.0 kB, 12.5 dB",
    ]
    assert [tick.label for tick in scatter.x_ticks] == ["10.0 kB", "100 kB", "1.00 MB"]
    assert [tick.label for tick in scatter.y_ticks] == ["0", "10", "20", "30", "40", "50"]
    assert charts.size_against_sqnr((exact,)) is None


def test_a_weight_of_no_bytes_and_a_negative_sqnr_has_a_place() -> None:
    gone = replace(LEDGER[0], bytes_after=0, outcomes=(Rewritten("w", "prune", "all zero", -3.0),))
    scatter = charts.size_against_sqnr((gone,))
    assert scatter is not None
    assert scatter.points[0].x == 0
    assert 0 <= scatter.points[0].y <= charts.PLOT_HEIGHT


def test_histograms_share_an_axis_and_count_what_lies_beyond_it() -> None:
    base = latency(0.9)
    slow = replace(base, candidate=replace(base.candidate, samples_ms=(*base.candidate.samples_ms, 500.0)))
    plot = charts.latency_histograms(slow)
    assert plot is not None
    assert plot.outliers == 1
    assert max(*plot.reference, *plot.candidate) == 1
    assert 0 < plot.candidate_median < plot.reference_median < charts.PLOT_WIDTH


def test_degenerate_samples_draw_without_dividing_by_zero() -> None:
    for samples in ((1.0,), (0.0, 0.0), (1e9, 1e9 + 1e-7), (math.nan, math.inf)):
        timing = Timing(samples[0], 0.0, samples)
        plot = charts.latency_histograms(Latency(timing, timing, 1.0, 1.0, 1.0, False, 1, True))
        assert plot is not None
        assert 2 <= len(plot.ticks) <= 8
        assert all(math.isfinite(tick.at) for tick in plot.ticks)
    empty = Timing(1.0, 0.0, ())
    assert charts.latency_histograms(Latency(empty, empty, 1.0, 1.0, 1.0, False, 1, True)) is None
