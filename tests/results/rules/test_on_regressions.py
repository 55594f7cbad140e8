"""Regressions against a saved check: what counts as worse, from zero too, and what is refused as a baseline."""

import json
import math
from dataclasses import replace

import pytest

from nncompress.errors import InputError
from nncompress.report.check_json import check_json
from nncompress.report.check_text import check_markdown, check_text, failure_lines
from nncompress.report.junit import render_check_junit
from nncompress.results.check import CheckedModel, CheckReport, Figures
from nncompress.results.rules.on_regressions import read_baseline, regression, with_regressions
from nncompress.results.verdict import RuleResult
from tests.sample_report import HOSTILE, sample_report

BEFORE = Figures(1000, 900, 100, 0, 0.99, 40.0, 1.0, 0.9, 1.1)
FAILED = RuleResult("max-size", "fail", "2 kB", "<= 1 kB", "compress it")


def report_of(figures: Figures = BEFORE, *rules: RuleResult, path: str = "m.onnx") -> CheckReport:
    return CheckReport("nncompress.toml", (CheckedModel(path, "ab", figures, rules),), sample_report().environment)


@pytest.mark.parametrize(
    ("before", "now", "share"),
    [(80, 100, 0.25), (100, 80, -0.2), (5, 5, 0), (0, 0, 0), (0, 1, math.inf), (1, 0, -1), (0, math.nan, math.inf)],
)
def test_the_share_by_which_a_size_became_worse(before: float, now: float, share: float) -> None:
    assert regression(before, now) == pytest.approx(share)


@pytest.mark.parametrize(
    ("before", "now", "share"),
    [(0.9, 0.81, 0.1), (0.9, 0.99, -0.1), (0, -0.1, math.inf), (0, 0.1, -math.inf), (-0.5, -1, 1)],
)
def test_the_share_by_which_a_cosine_became_worse(before: float, now: float, share: float) -> None:
    assert regression(before, now, smaller_is_better=False) == pytest.approx(share)


def levels(now: Figures, limit: float = 0.01, before: Figures = BEFORE) -> dict[str, str]:
    report = with_regressions(report_of(now), {"m.onnx": before}, limit)
    return {rule.rule.removeprefix("regression-"): rule.level for rule in report.rules}


def test_the_same_figures_pass() -> None:
    assert levels(BEFORE, 0) == dict.fromkeys(["size", "packed", "params", "macs", "cosine", "latency"], "pass")


@pytest.mark.parametrize(
    ("changes", "name", "level"),
    [
        ({"size_bytes": 1010}, "size", "pass"),
        ({"size_bytes": 1011}, "size", "fail"),
        ({"packed_bytes": 950}, "packed", "fail"),
        ({"params": 99}, "params", "pass"),
        ({"macs": 1}, "macs", "fail"),
        ({"macs": None}, "macs", "warn"),
        ({"cosine": 0.985}, "cosine", "pass"),
        ({"cosine": 0.97}, "cosine", "fail"),
        ({"latency_ratio": 1.05}, "latency", "warn"),
        ({"latency_ratio": None}, "latency", "warn"),
        ({"latency_ratio": 1.3, "latency_ratio_low": 1.2}, "latency", "fail"),
    ],
)
def test_a_figure_may_become_worse_by_the_limit(changes: dict[str, float | None], name: str, level: str) -> None:
    assert levels(replace(BEFORE, **changes))[name] == level


def test_a_latency_that_may_be_worse_and_one_that_was_not_measured_are_told_apart() -> None:
    for ratio, figure in ((1.05, "too noisy to tell"), (None, "-> not measured")):
        report = with_regressions(report_of(replace(BEFORE, latency_ratio=ratio)), {"m.onnx": BEFORE}, 0.01)
        (rule,) = (rule for rule in report.rules if rule.rule == "regression-latency")
        assert (rule.figure.endswith(figure), rule.limit) == (True, "<= 1 % worse")


def test_what_the_baseline_lacks_is_no_regression() -> None:
    assert set(levels(BEFORE, before=Figures(1000, None, 100, None))) == {"size", "params"}


@pytest.mark.parametrize(
    ("higher_is_better", "now", "level"),
    [(True, 0.899, "pass"), (True, 0.88, "fail"), (True, 0.95, "pass"), (False, 0.92, "fail"), (False, 0.5, "pass")],
)
def test_a_task_metric_is_watched_in_its_direction(higher_is_better: bool, now: float, level: str) -> None:
    before = replace(BEFORE, metric=0.9, metric_name="m", metric_higher_is_better=higher_is_better)
    assert levels(replace(before, metric=now), before=before)["metric"] == level


def test_another_task_metric_is_no_regression_and_is_said() -> None:
    before = replace(BEFORE, metric=0.9, metric_name="f1")
    assert levels(replace(before, metric=0.1, metric_name="mse"), before=before)["metric"] == "warn"
    assert levels(BEFORE, before=before)["metric"] == "warn"
    assert levels(replace(before, metric=0.8), before=replace(before, metric_name=None))["metric"] == "fail"


def test_models_that_came_and_went_are_said() -> None:
    report = with_regressions(report_of(path="new.onnx"), {"old.onnx": BEFORE}, 0.01)
    assert [(rule.rule, rule.level) for rule in report.rules] == [("regression", "warn")]
    assert report.notes == ("'old.onnx' is in the baseline and is not checked any more",)


def test_a_saved_check_is_read_back_whatever_its_figures() -> None:
    odd = replace(BEFORE, cosine=math.nan, sqnr_db=math.inf, macs=None)
    (figures,) = read_baseline(check_json(report_of(odd))).values()
    assert math.isnan(figures.cosine or 0)
    assert replace(figures, cosine=None) == replace(odd, cosine=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "baseline is not JSON"),
        ("[]", "not a report of nncompress check"),
        ('{"schema_version": 1}', "not a report of nncompress check"),
        ('{"models": [], "schema_version": 9}', "follows schema version 9"),
        ('{"models": [{}], "schema_version": 1}', "a model lacks 'path'"),
        (
            '{"models": [{"path": "m", "figures": {"size_bytes": "x"}}], "schema_version": 1}',
            "damaged: size_bytes must be a whole number, not 'x'",
        ),
        ('{"models": [3], "schema_version": 1}', "damaged"),
    ],
)
def test_what_is_no_baseline_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_baseline(text)


def test_every_renderer_shows_what_failed() -> None:
    report = report_of(BEFORE, FAILED)
    assert check_text(report).endswith("\nFAIL  1 of 1 check failed (1 of 1 model)\n")
    for text in (check_text(report), check_markdown(report), check_json(report), render_check_junit(report)):
        assert "max-size" in text
        assert "compress it" in text
    assert json.loads(check_json(report))["level"] == "fail"
    assert 'failures="1"' in render_check_junit(report)
    assert failure_lines(report) == ["m.onnx: max-size failed: 2 kB, limit <= 1 kB; compress it"]


def test_hostile_names_cannot_act_on_terminal_or_page() -> None:
    report = replace(report_of(BEFORE, FAILED, path=HOSTILE), notes=(HOSTILE,))
    for text in (check_text(report), check_markdown(report), render_check_junit(report), *failure_lines(report)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>" not in check_markdown(report)


def test_markdown_stays_below_what_a_pull_request_takes() -> None:
    models = tuple(CheckedModel("x" * 300 + str(i), "ab", BEFORE, (FAILED,) * 12) for i in range(400))
    assert len(check_markdown(replace(report_of(), models=models)).encode()) < 60_000
