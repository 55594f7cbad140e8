"""Many results in one table: who is on the Pareto front, and the table in every format."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from nncompress.report.charts.front import fronts
from nncompress.report.junit import render_junit
from nncompress.report.pages.results_page import render_results_html
from nncompress.report.results_table import results_headline, results_table
from nncompress.report.results_text import results_csv, results_json, results_markdown, results_text
from nncompress.results.front import results_of
from nncompress.results.limits import Limits
from nncompress.results.record import Report, TaskMetric
from tests.sample_report import fidelity, hostile_report, labelled_run, latency, output, sample_report


def report(
    name: str, size: int, top1: float, ratio: float = 1.0, *, limits: Limits | None = None, original: str = "ab" * 32
) -> Report:
    timing = latency(ratio, ratio - 0.01, ratio + 0.01)
    run = labelled_run(metrics=(TaskMetric("top-1", 0.9, top1, 400),), latency=timing)
    made = sample_report(run, limits or Limits())
    files = made.comparison
    files = replace(
        files,
        reference=replace(files.reference, sha256=original),
        candidate=replace(files.candidate, path=name, file_bytes=size),
    )
    return replace(made, comparison=files)


SMALL, CLOSE = report("small.onnx", 100_000, 0.8), report("close.onnx", 300_000, 0.9)
FAST, WORSE = report("fast.onnx", 300_000, 0.85, 0.5), report("worse.onnx", 310_000, 0.9, 1.2)


def on_front(*reports: Report) -> list[str]:
    return [one.name for one in results_of(reports).results if one.on_front]


def test_the_front_holds_what_no_other_result_beats_in_all_three() -> None:
    assert on_front(SMALL, CLOSE, FAST, WORSE) == ["small.onnx", "close.onnx", "fast.onnx"]


def test_equal_results_are_both_on_the_front() -> None:
    assert on_front(CLOSE, replace(CLOSE)) == ["close.onnx", "close.onnx"]


def test_a_result_that_missed_a_limit_is_on_no_front_and_beats_nobody() -> None:
    missed = report("missed.onnx", 50_000, 0.9, 0.4, limits=Limits(max_size=10))
    assert on_front(missed, SMALL) == ["small.onnx"]


def test_results_of_different_originals_do_not_compete() -> None:
    other = report("other.onnx", 400_000, 0.5, 2.0, original="ef" * 32)
    assert on_front(CLOSE, other) == ["close.onnx", "other.onnx"]
    assert len(fronts(results_of([CLOSE, SMALL, other]))) == 1


def test_latency_within_the_noise_counts_as_the_same() -> None:
    noisy = report("noisy.onnx", 300_000, 0.9, 0.995)
    assert on_front(noisy, CLOSE) == ["noisy.onnx", "close.onnx"]


def test_without_a_common_metric_the_cosine_is_what_counts() -> None:
    runs = [labelled_run(metrics=(), outputs=(output(deployed=fidelity(cosine)),)) for cosine in (0.9999, 0.999)]
    found = results_of([sample_report(run, Limits()) for run in runs])
    assert found.loss_name == "1 - cosine of the worst output"
    assert [one.on_front for one in found.results] == [True, False]
    assert [tick.label for tick in fronts(found)[0].y_ticks] == ["1e-04", "1e-03"]


def test_what_is_no_share_is_lost_in_percent_and_not_in_points() -> None:
    def reports(*metrics: TaskMetric) -> list[Report]:
        return [sample_report(labelled_run(metrics=(metric,)), Limits()) for metric in metrics]

    errors = [TaskMetric("mse", 0.5, now, 400, higher_is_better=False, is_share=False) for now in (66.72, 0.51)]
    results = results_of(reports(*errors))
    assert [row[6] for row in results_table(results).rows] == ["mse 13244.0 %", "mse 2.0 %"]
    assert (results.loss_name, fronts(results)[0].loss_name) == ("lost mse, in %", "lost mse, in %")
    mixed = results_of(reports(errors[0], TaskMetric("top-1", 0.9, 0.89, 400)))
    assert [row[6] for row in results_table(mixed).rows] == ["mse 13244.0 %", "top-1 1.00 points"]
    assert mixed.loss_name == "1 - cosine of the worst output"
    for render in (results_text, results_markdown, render_results_html):
        assert "mse 13244.0 %" in render(results)
        assert not re.search(r"in points|[0-9] points", render(results))
    assert ", lost mse, in %: 2, " in fronts(results)[0].marks[1].name
    ours = [TaskMetric("ours", 0.5, 0.4, 400, is_share=is_share) for is_share in (True, False)]
    assert results_of(reports(*ours)).loss_name == "1 - cosine of the worst output"


def test_what_was_not_run_counts_as_worst_and_is_in_no_chart() -> None:
    unrun = replace(CLOSE, comparison=replace(CLOSE.comparison, run=None))
    assert on_front(unrun, CLOSE) == ["close.onnx"]
    assert fronts(results_of([unrun, CLOSE])) == []


def test_the_line_of_the_chart_goes_down_to_the_right() -> None:
    (chart,) = fronts(results_of([CLOSE, SMALL, FAST, WORSE]))
    points = [tuple(map(float, point.split(","))) for point in chart.line.split()]
    assert points == sorted(points)
    assert len(points) == 2
    assert [mark.label for mark in chart.marks] == ["close.onnx", "small.onnx", "fast.onnx", "worse.onnx"]


def test_every_format_has_every_result() -> None:
    reports = [SMALL, CLOSE, WORSE]
    found = results_of(reports)
    assert results_headline(found) == "3 results, 2 on the Pareto front"
    assert results_table(found).rows[0][:6] == (
        "small.onnx",
        "*",
        "digits_cnn.onnx",
        "100 kB",
        "12.10x smaller",
        "0.99998",
    )
    assert [row["name"] for row in csv.DictReader(io.StringIO(results_csv(found)))] == [
        "small.onnx", "close.onnx", "worse.onnx",
    ]  # fmt: skip
    assert json.loads(results_json(found))["results"][1]["metric_drop"] == 0
    suites = ET.fromstring(render_junit(*reports)).findall("testsuite")
    assert [suite.get("name") for suite in suites] == [f"nncompress quantize {one.name}" for one in found.results]
    for text in (results_text(found), results_markdown(found), render_results_html(found)):
        assert all(one.name in text for one in found.results)


def test_hostile_names_are_inert() -> None:
    found = results_of([hostile_report(), hostile_report()])
    for text in (results_text(found), results_markdown(found), render_results_html(found), results_csv(found)):
        assert "\x1b" not in text
    for text in (results_markdown(found), render_results_html(found)):
        assert "<script" not in text


def test_a_row_names_the_limits_that_failed_and_its_time() -> None:
    missed = report("missed.onnx", 50_000, 0.5, limits=Limits(max_size=10, max_drop=0.01))
    results = results_of((missed, SMALL))
    assert [one.missed for one in results.results] == [("max-size <= 10 B", "drop <= 1 point"), ()]
    assert results.results[0].made_at == missed.environment.made_at
    table = results_table(results)
    assert [dict(zip(table.header, row, strict=True))["limit missed"] for row in table.rows] == [
        "max-size <= 10 B; drop <= 1 point",
        "",
    ]
    assert "limit missed" not in results_table(results_of((SMALL,))).header
    rows = list(csv.DictReader(io.StringIO(results_csv(results))))
    assert rows[0]["missed"] == "max-size <= 10 B; drop <= 1 point"
