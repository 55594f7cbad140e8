"""SARIF: one run, a descriptor for each rule, a result for each that was missed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nncompress.report.sarif import render_check_sarif, render_results_sarif, render_sarif, uri
from nncompress.results.check import CheckedModel, CheckReport
from nncompress.results.front import NoResult, results_of
from nncompress.results.limits import Limits
from nncompress.results.rules import meanings
from tests.sample_report import hostile_report, labelled_run, sample_report

FAILED = sample_report(labelled_run(), Limits(min_ratio=5, max_latency_ratio=0.97))
CHECKED = CheckReport(
    "nncompress.toml",
    (CheckedModel("a b.onnx", None, None, FAILED.verdict.rules), CheckedModel("b.onnx", None, None, ())),
    FAILED.environment,
)
SWEPT = results_of([FAILED, sample_report()], [NoResult("m--int8", 3, "no model")])
PASSED = replace(FAILED, verdict=replace(FAILED.verdict, rules=()))


def only_run(text: str) -> Any:
    log = json.loads(text)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    assert log["$schema"].endswith("sarif-2.1.0.json")
    return log["runs"][0]


@pytest.mark.parametrize(
    "text",
    [
        render_sarif(FAILED), render_sarif(hostile_report()), render_sarif(PASSED), render_check_sarif(CHECKED),
        render_results_sarif(SWEPT), render_results_sarif(results_of([])),
    ],
)  # fmt: skip
def test_the_structure_is_that_of_the_standard(text: str) -> None:
    run = only_run(text)
    assert set(run) == {"tool", "invocations", "results"}
    driver = run["tool"]["driver"]
    assert {"name", "rules"} <= set(driver) <= {"name", "rules", "version"}
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    for rule in driver["rules"]:
        assert set(rule) == {"id", "shortDescription", "fullDescription", "help"}
        assert rule["shortDescription"]["text"]
    for result in run["results"]:
        assert set(result) == {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"error", "warning"}
        assert result["message"]["text"].startswith(f"{result['ruleId']}: ")
        (location,) = result["locations"]
        assert re.fullmatch(r"[A-Za-z0-9/._~%:-]+", location["physicalLocation"]["artifactLocation"]["uri"])
    assert run["invocations"][0]["executionSuccessful"] is True


def test_missed_rules_are_errors_and_warnings_with_their_file() -> None:
    run = only_run(render_sarif(FAILED))
    assert run["tool"]["driver"]["version"] == "0.1.0"
    assert run["invocations"][0]["startTimeUtc"] == "2026-01-31T09:30:00Z"
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        ("ratio", "error"),
        ("latency-ratio", "warning"),
    ]
    first = run["results"][0]
    assert first["message"]["text"].startswith(
        "ratio: 3.860x smaller, limit >= 5x; compress the weights that were left alone"
    )
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "build/out.onnx"
    assert len(run["tool"]["driver"]["rules"]) == len(FAILED.verdict.rules)


def test_each_model_of_a_check_and_each_trial_of_a_sweep_is_a_place() -> None:
    def places(text: str) -> set[tuple[str, str]]:
        return {
            (result["ruleId"], result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
            for result in only_run(text)["results"]
        }

    assert places(render_check_sarif(CHECKED)) == {("ratio", "a%20b.onnx"), ("latency-ratio", "a%20b.onnx")}
    assert ("result", "m--int8") in places(render_results_sarif(SWEPT))


def test_names_of_files_become_uris() -> None:
    assert uri("build/größe 1.onnx") == "build/gr%C3%B6%C3%9Fe%201.onnx"
    assert uri("/models/m.onnx") == "file:///models/m.onnx"


def test_every_rule_has_a_meaning() -> None:
    sources = "".join(path.read_text() for path in Path(meanings.__file__).parent.glob("on_*.py"))
    names = set(re.findall(r'(?:ruled|unmeasured|_at_most|_Limited)\(\s*"([a-z-]+)"', sources))
    assert {"size", "max-params", "sqnr", "drop", "opset"} <= names
    assert {name for name in names if not name.startswith("regression-")} <= set(meanings.MEANINGS)
    assert meanings.meaning("regression-size") == "The figure 'size' is no worse than in the baseline."
    assert meanings.meaning("of a later version") == "of a later version"
