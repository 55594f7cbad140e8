"""JSON: round trip, schema, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from nncompress.errors import InputError
from nncompress.report.json_report import from_json, json_schema, to_json
from nncompress.report.text import render_text
from nncompress.results.record import SCHEMA_VERSION, Rewritten
from tests.sample_report import (
    comparison,
    fidelity,
    hostile_report,
    labelled_run,
    latency,
    output,
    sample_report,
    stepwise_report,
    synthetic_run,
)


def strict_loads(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"bare {name}")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "report",
    [
        sample_report(),
        sample_report(synthetic_run()),
        sample_report(ledger=()),
        replace(sample_report(), comparison=comparison(None)),
        hostile_report(),
        stepwise_report(),
    ],
    ids=["labelled", "synthetic", "no ledger", "not validated", "hostile", "stepwise"],
)
def test_a_report_survives_the_round_trip_and_follows_the_schema(report: Any) -> None:
    text = to_json(report)
    assert from_json(text) == report
    assert text.isascii()
    jsonschema.Draft202012Validator(json_schema()).validate(strict_loads(text))


def test_nan_and_infinities_survive_as_strings() -> None:
    run = labelled_run(
        outputs=(output("NaN", deployed=fidelity(math.nan, -math.inf)),), latency=latency(math.inf, math.nan, math.inf)
    )
    report = sample_report(run)
    line = replace(report.ledger[0], outcomes=(Rewritten("w", "share", "64 values", math.inf),))
    report = replace(report, ledger=(line,), notes=("NaN",))
    text = to_json(report)
    tree = strict_loads(text)
    jsonschema.Draft202012Validator(json_schema()).validate(tree)
    assert tree["comparison"]["run"]["outputs"][0]["deployed"]["cosine"] == "NaN"
    again = from_json(text)
    assert repr(again) == repr(report)  # NaN is not equal to itself
    assert again.notes == ("NaN",)
    assert again.comparison.run is not None
    assert again.comparison.run.outputs[0].name == "NaN"


def test_a_report_from_before_there_were_steps_and_values_is_read() -> None:
    tree = strict_loads(to_json(stepwise_report()))
    del tree["steps"], tree["worst_values"]
    assert from_json(json.dumps(tree)) == replace(stepwise_report(), steps=(), worst_values=())


def test_the_summary_holds_the_derived_figures() -> None:
    summary = strict_loads(to_json(sample_report()))["summary"]
    assert summary["level"] == "warn"
    assert summary["size_ratio"] == pytest.approx(1_210_000 / 313_500)
    assert summary["worst_cosine"] == 0.99998
    assert summary["metric_drop"] == 0.0
    assert summary["latency_ratio"] == 0.98
    assert summary["rules_warned"] == ["latency-ratio"]
    assert summary["rules_failed"] == []


def test_a_forged_summary_is_not_believed() -> None:
    tree = strict_loads(to_json(sample_report()))
    tree["summary"]["level"] = "pass"
    assert from_json(json.dumps(tree)).verdict.level == "warn"


def test_the_committed_schema_is_the_current_one() -> None:
    committed = json.loads((files("nncompress.report") / "report.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), (
        "write json.dumps(json_schema(), indent=2) to nncompress/report/report.schema.json"
    )


def changed(path: str, value: object) -> str:
    tree = strict_loads(to_json(sample_report()))
    holder = tree
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in parents:
        holder = holder[step]
    if value is KeyError:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "report is not JSON: Expecting value at line 1, column 1"),
        ("{]", "report is not JSON"),
        ('{"schema_version": NaN}', "bare NaN"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no field 'schema_version'"),
        ("{}", "no field 'schema_version'"),
        (changed("schema_version", 99), f"schema version 99, this nncompress reads version {SCHEMA_VERSION}"),
        (changed("schema_version", True), "schema version True"),
        (changed("seed", "0"), "report is damaged: seed must be a whole number, not '0'"),
        (changed("comparison.reference.sha256", 3), "damaged: comparison.reference.sha256 must be text, not 3"),
        (changed("comparison.run.latency.reference.median_ms", "fast"), "latency.reference.median_ms"),
        (
            changed("comparison.run.latency.ratio", "1.0"),
            "comparison.run.latency.ratio must be a number, not '1.0'",
        ),
        (changed("verdict.rules.0.level", "fine"), r"verdict.rules\[0\].level"),
        (changed("ledger.0.bytes_after", KeyError), r"ledger\[0\].bytes_after is missing"),
        (changed("ledger.0.outcomes", 3), r"ledger\[0\].outcomes"),
        (changed("ledger.0.bytes_after", 2**63), "a whole number of more than 64 bits"),
        (changed("ledger.0.bytes_after", 10**400), "a whole number of more than 64 bits"),
        (changed("seed", -(10**4000)), "a whole number of more than 64 bits"),
    ],
)
def test_a_damaged_report_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_json(text)


def test_the_largest_number_is_read_and_shown() -> None:
    report = from_json(changed("ledger.0.bytes_after", 2**63 - 1))
    assert report.ledger[0].bytes_after == 2**63 - 1
    assert "9,223,372 TB" in render_text(report, verbose=True)


def test_a_file_name_that_is_not_utf8_is_spelled_out() -> None:
    report = sample_report()
    facts = replace(report.comparison.reference, path="model\udcff.onnx")
    again = from_json(to_json(replace(report, comparison=replace(report.comparison, reference=facts))))
    assert again.comparison.reference.path == "model\\udcff.onnx"
