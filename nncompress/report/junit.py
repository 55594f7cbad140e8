"""Renders the rules of a verdict as JUnit XML, which CI systems show as tests: one case a rule."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from nncompress.errors import printable
from nncompress.report.record import Report, RuleResult
from nncompress.report.summary import headline


def render_junit(report: Report) -> str:
    """A rule that fails is a failure; one that warns passes and says so in its output."""
    rules = report.verdict.rules
    seconds = f"{sum(taken for _, taken in report.seconds):.3f}"
    counts = {
        "tests": str(len(rules)),
        "failures": str(sum(rule.level == "fail" for rule in rules)),
        "errors": "0",
        "skipped": "0",
        "time": seconds,
    }
    root = ET.Element("testsuites", {"name": "nncompress", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": _safe(f"nncompress {report.command}"), **counts})
    for rule in rules:
        _add_case(suite, rule, classname=_safe(f"nncompress.{report.command}"))
    ET.SubElement(suite, "system-out").text = _safe(headline(report))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ET.Element, rule: RuleResult, classname: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": classname, "name": _safe(rule.rule), "time": "0"})
    message = _safe(f"{rule.figure} (limit {rule.limit})")
    if rule.level == "fail":
        ET.SubElement(case, "failure", {"message": message, "type": "limit"}).text = _safe(rule.advice)
    elif rule.level == "warn":
        ET.SubElement(case, "system-out").text = f"WARN: {message}: {_safe(rule.advice)}"


def _safe(text: str) -> str:
    """Without the characters that XML forbids: all of them are unprintable, so they arrive escaped."""
    return printable(text)
