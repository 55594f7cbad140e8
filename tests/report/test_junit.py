"""JUnit: one case a rule, valid XML whatever the names."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from nncompress.report.junit import render_junit
from nncompress.report.verdict import Limits

from .sample_report import hostile_report, labelled_run, sample_report


def test_failures_fail_and_warnings_pass_with_a_word() -> None:
    report = sample_report(labelled_run(), Limits(min_ratio=5, max_latency_ratio=0.97))
    root = ET.fromstring(render_junit(report))
    suite = root[0]
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == [rule.rule for rule in report.verdict.rules]
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == (str(len(cases)), "1", "0.330")
    failure = cases["ratio"].find("failure")
    assert failure is not None
    assert failure.get("message") == "3.860x smaller (limit >= 5x)"
    assert failure.text == "compress more weights (--include), or use fewer bits or a lower density"
    assert cases["latency-ratio"].find("failure") is None
    assert (cases["latency-ratio"].findtext("system-out") or "").startswith("WARN: 0.980 [0.950, 1.020]")
    assert len(cases["size"]) == 0


def test_hostile_names_give_valid_xml_without_control_characters() -> None:
    text = render_junit(hostile_report())
    assert all(line.isprintable() for line in text.splitlines())
    root = ET.fromstring(text)
    assert "\\x1b[31m[red]" in (root.findtext("testsuite/system-out") or "")
