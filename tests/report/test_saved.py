"""What --json saved is told apart by what is in it, and read back as it was."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from nncompress.errors import InputError
from nncompress.report.check_json import check_json
from nncompress.report.json_report import to_json
from nncompress.report.saved import read_saved
from nncompress.report.text import render_text
from nncompress.results.check import CheckedModel, CheckReport, Figures
from nncompress.results.record import Report
from nncompress.results.verdict import RuleResult
from tests.sample_report import HOSTILE, hostile_report, sample_report

RULES = (
    RuleResult("max-size", "fail", "2 kB", "<= 1 kB", "compress it", 2000.0, 1000.0),
    RuleResult("cosine", "warn", HOSTILE, ">= 0.9", HOSTILE, math.nan, 0.9),
)


FIGURES = Figures(1000, None, 100, 0)


def check_report(figures: Figures = FIGURES) -> CheckReport:
    models = (CheckedModel(f"##[error]{HOSTILE}", "ab" * 32, figures, RULES), CheckedModel("m.onnx", "cd", figures, ()))
    return CheckReport("nncompress.toml", models, sample_report().environment, (HOSTILE,))


@pytest.mark.parametrize(
    "figures", [Figures(1, 2, 3, 4, 0.5, math.inf, 1.0, 0.9, 1.1, 0.97, -0.1), Figures(1, None, 3, None, math.nan)]
)
def test_a_check_is_read_back_as_it_was(figures: Figures) -> None:
    report = check_report(figures)
    saved = check_json(report)
    again = read_saved(saved)
    assert isinstance(again, CheckReport)
    assert check_json(again) == saved
    assert (again.level, again.headline) == (report.level, report.headline)
    assert repr(again) == repr(report)  # NaN is not equal to itself


@pytest.mark.parametrize("report", [sample_report(), hostile_report()])
def test_the_report_of_a_run_is_one(report: Any) -> None:
    assert read_saved(to_json(report)) == report


def test_a_report_from_before_samples_random_outputs_times_and_work_is_still_read() -> None:
    tree = json.loads(to_json(sample_report()))
    del tree["environment"]["made_at"], tree["comparison"]["run"]["work"]
    for output in tree["comparison"]["run"]["outputs"]:
        del output["random"], output["itself"]
        for fidelity in (output["deployed"], output["exact"]):
            if fidelity:
                del fidelity["samples"]
    old = read_saved(json.dumps(tree))
    assert isinstance(old, Report)
    assert old.comparison.run is not None
    assert {output.deployed.samples for output in old.comparison.run.outputs if output.deployed} == {None}
    assert "worst of" not in render_text(old)


def test_json_is_ascii_and_holds_no_command_of_the_runner() -> None:
    saved = check_json(check_report())
    assert saved.isascii()
    assert "##[" not in saved
    assert json.loads(saved)["models"][0]["path"] == f"##[error]{HOSTILE}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "report follows schema version 99, this nncompress reads version 1"),
        ({"models": {}}, "report is damaged: models must be a list, not {}"),
        ({"models": [{}]}, r"report is damaged: models\[0\]\.path is missing \(and 3 more\)"),
        ({"environment": None}, "report is damaged: environment must be a table, not nothing"),
    ],
)
def test_a_damaged_check_is_refused(change: dict[str, Any], message: str) -> None:
    tree = json.loads(check_json(check_report())) | change
    with pytest.raises(InputError, match=message):
        read_saved(json.dumps(tree))


@pytest.mark.parametrize("text", ["{}", "[]", '{"models": []}', "3", "null"])
def test_other_json_is_no_report(text: str) -> None:
    with pytest.raises(InputError, match="not a report of nncompress"):
        read_saved(text)
