"""Latency of models on one axis."""

from __future__ import annotations

import math
from dataclasses import replace

from nncompress.report.charts.axes import PLOT_WIDTH
from nncompress.report.charts.latency import MOST_MODELS, latencies
from nncompress.results.record import Timing
from tests.sample_report import latency


def test_histograms_share_an_axis_and_count_what_lies_beyond_it() -> None:
    base = latency(0.9)
    slow = replace(base.candidate, samples_ms=(*base.candidate.samples_ms, 500.0))
    plot = latencies([("original", base.reference), ("result", slow)])
    assert plot is not None
    assert plot.outliers == 1
    first, second = plot.models
    assert max(*first.heights, *second.heights) == 1
    assert 0 < second.median < first.median < PLOT_WIDTH


def test_degenerate_samples_draw_without_dividing_by_zero() -> None:
    for samples in ((1.0,), (0.0, 0.0), (1e9, 1e9 + 1e-7), (math.nan, math.inf)):
        timing = Timing(samples[0], 0.0, samples)
        plot = latencies([("a", timing), ("b", timing)])
        assert plot is not None
        assert 2 <= len(plot.ticks) <= 8
        assert all(math.isfinite(tick.at) for tick in plot.ticks)
    assert latencies([("a", Timing(1.0, 0.0, ()))]) is None
    assert latencies([]) is None


def test_of_many_models_the_first_are_drawn() -> None:
    plot = latencies([(f"m{i}.onnx", latency().reference) for i in range(9)])
    assert plot is not None
    assert [model.label for model in plot.models] == [f"m{i}.onnx" for i in range(MOST_MODELS)]
