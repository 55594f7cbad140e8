"""JUnit: one case a rule, valid XML whatever the names."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from nncompress.report.junit import render_junit
from nncompress.results.limits import Limits
from nncompress.results.record import Report
from nncompress.results.rules.on_files import COMPRESS_MORE
from tests.sample_report import hostile_report, labelled_run, sample_report


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
    assert failure.text == COMPRESS_MORE
    assert cases["latency-ratio"].find("failure") is None
    assert (cases["latency-ratio"].findtext("system-out") or "").startswith("WARN: 0.980 [0.950, 1.020]")
    assert len(cases["size"]) == 0


# Element: (attributes it must have, attributes it may have, children in their order) of Jenkins' junit-4.xsd.
SCHEMA = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "disabled", "errors"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests"},
        {"failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "testcase": (
        {"name"}, {"assertions", "time", "classname", "status"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": (set(), {"type", "message"}, []),
    "system-out": (set(), set(), []),
}  # fmt: skip


@pytest.mark.parametrize("report", [sample_report(labelled_run(), Limits(min_ratio=5)), hostile_report()])
def test_jenkins_schema_allows_every_element_and_attribute(report: Report) -> None:
    for element in ET.fromstring(render_junit(report, report)).iter():
        required, optional, order = SCHEMA[element.tag]
        assert required <= set(element.keys()) <= required | optional
        places = [order.index(child.tag) for child in element]
        assert places == sorted(places)


def test_hostile_names_give_valid_xml_without_control_characters() -> None:
    text = render_junit(hostile_report())
    assert all(line.isprintable() for line in text.splitlines())
    root = ET.fromstring(text)
    assert "\\x1b[31m[red]" in (root.findtext("testsuite/system-out") or "")
