"""The page of a compression: missed rules above pictures, tables below, and never too large."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from nncompress.report.pages.report_page import render_html
from nncompress.results.limits import Limits
from nncompress.results.record import ClassMetric, Rewritten, TaskMetric
from tests.sample_report import labelled_run, large_report, latency, sample_report, stepwise_report, weight


def test_the_heading_is_short_and_the_title_of_the_window_is_the_sentence() -> None:
    text = render_html(sample_report())
    assert '<h1><span class="level warn">WARN</span>digits_cnn.onnx → out.onnx</h1>' in text
    assert "<title>WARN: digits_cnn.onnx -&gt; out.onnx: 3.86x smaller" in text
    assert "out.onnx, not written</h1>" in render_html(replace(sample_report(), written=False))


def test_rules_that_were_missed_come_first_failures_before_warnings() -> None:
    text = render_html(sample_report(labelled_run(), Limits(min_ratio=5, max_latency_ratio=0.97)))
    assert re.findall(r'<li class="(\w+)"><b>(.*?)</b>', text) == [
        ("fail", "FAIL ratio"),
        ("warn", "WARN latency-ratio"),
    ]
    assert 'class="missed"' not in render_html(sample_report(limits=Limits()))


def test_tables_are_folded_but_for_the_comparison_and_a_short_ledger() -> None:
    text = render_html(sample_report())
    folded = re.findall(r"<details( open)?>\n<summary>(.*?)</summary>", text)
    assert [title for _, title in folded] == [
        "Checks", "Comparison", "Task metrics", "Fidelity", "Worst sample", "Ledger", "Left alone", "Notes",
        "Environment",
    ]  # fmt: skip
    assert [title for opened, title in folded if opened] == ["Comparison", "Ledger"]
    assert "<details>\n<summary>Ledger</summary>" in render_html(large_report(31))


def test_no_title_stands_twice() -> None:
    text = render_html(stepwise_report())
    titles = re.findall(r"<(?:h1|h2|summary)>(.*?)</", text)
    assert len(titles) == len(set(titles))


def test_classes_and_several_metrics_are_drawn() -> None:
    classes = (ClassMetric(0, 50, 1.0, 1.0), ClassMetric(1, 40, 0.95, 0.9))
    metrics = (TaskMetric("top-1", 0.98, 0.95, 90, classes=classes), TaskMetric("top-5", 1.0, 1.0, 90))
    text = render_html(sample_report(labelled_run(metrics=metrics)))
    assert "<h2>Task metrics</h2>" in text
    assert "<h2>top-1 by class</h2>" in text
    assert text.index("<b>class 1</b>") < text.index("<b>class 0</b>")
    assert "<span>95.0 % → 90.0 %, 40 samples</span>" in text


def test_weights_of_a_scatter_plot_are_named() -> None:
    text = render_html(sample_report())
    assert "<title>[w]: 38.0 kB, 12.5 dB</title></circle>" in text
    assert "Much lower than the median of 38.2 dB: [w] (12.5 dB)." in text


def test_what_makes_latency_doubtful_stands_below_its_picture() -> None:
    run = labelled_run(latency=replace(latency(), noise=("NOISE: others run here",)))
    text = render_html(sample_report(run))
    assert text.count("NOISE: others run here.") == 2  # the picture's label and its caption
    assert text.index("How latency is distributed") < text.index("NOISE: others run here.")


def test_only_the_weights_of_the_ledger_can_be_sorted_and_its_sums_stay_below() -> None:
    text = render_html(sample_report())
    (table,) = re.findall(r'<table class="sortable.*?</table>', text, re.S)
    weights, sums = re.findall(r"<tbody>.*?</tbody>", table, re.S)
    assert re.findall(r'<th scope="row">(.*?)</th>', weights) == ["conv2.weight", "[w]", "conv1.weight", "fc.bias"]
    assert re.findall(r'<th scope="row">(.*?)</th>', sums) == ["(graph)", "(other constants)", "total"]
    assert "<button" not in text  # the script makes them: without it nothing is there that does nothing


def test_a_ledger_of_weights_alone_has_one_body_besides_its_total() -> None:
    line = weight("w", 100, 50, Rewritten("w", "quantize", "int8", 9.0))
    text = render_html(sample_report(ledger=(line,)))
    (table,) = re.findall(r'<table class="sortable.*?</table>', text, re.S)
    assert [body.count("<tr>") for body in re.findall(r"<tbody>.*?</tbody>", table, re.S)] == [1, 1]


@pytest.mark.parametrize(("count", "length"), [(200, 40), (600, 40), (2000, 300)])
@pytest.mark.slow
def test_any_number_of_weights_fits_in_300_kb(count: int, length: int) -> None:
    text = render_html(large_report(count, "encoder.layer.{}." + "x" * length))
    assert len(text.encode()) < 300_000
    assert f"<h2>Bytes of {count} weights</h2>" in text
    assert "Bytes by weight" not in text


def test_a_ledger_that_does_not_fit_sums_up_the_smallest() -> None:
    assert "... 1500 more weights" not in render_html(large_report(600))
    assert re.search(r"\.\.\. \d+ more weights", render_html(large_report(2000)))
