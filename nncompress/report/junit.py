"""Renders the rules of a verdict as JUnit XML, which CI systems show as tests: one case a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from nncompress.errors import printable
from nncompress.results.check import CheckReport
from nncompress.results.front import NoResult, Results
from nncompress.results.record import Report
from nncompress.results.summary import headline
from nncompress.results.verdict import RuleResult


def render_junit(*reports: Report, missing: Sequence[NoResult] = ()) -> str:
    """One suite a report. A rule that fails is a failure; one that warns passes and says so in its output.

    `missing`: trials of a sweep without a result, each an error of a suite of its own.
    """
    suites = [_suite(report, several=len(reports) > 1) for report in reports]
    return _document(suites, tuple(missing))


def render_results_junit(results: Results) -> str:
    """One suite a report, and one of what made none."""
    return render_junit(*results.reports, missing=results.missing)


def render_check_junit(report: CheckReport) -> str:
    """One suite a model."""
    suites = [Suite(model.path, f"nncompress.check.{model.path}", model.rules) for model in report.models]
    return _document(suites)


@dataclass(frozen=True)
class Suite:
    """Rules that are shown together."""

    name: str
    classname: str
    rules: tuple[RuleResult, ...]
    seconds: float = 0.0
    said: str = ""


def _suite(report: Report, *, several: bool) -> Suite:
    seconds = sum(spent for _, spent in report.seconds)
    name = f"nncompress {report.command}" + (f" {report.comparison.candidate.path}" if several else "")
    return Suite(name, name.replace(" ", ".", 1), report.verdict.rules, seconds, headline(report))


def _document(suites: list[Suite], missing: tuple[NoResult, ...] = ()) -> str:
    every = tuple(rule for suite in suites for rule in suite.rules)
    counts = _counts(every, sum(suite.seconds for suite in suites), missing)
    root = ET.Element("testsuites", {"name": "nncompress", **counts})
    for suite in suites:
        element = ET.SubElement(root, "testsuite", {"name": _safe(suite.name), **_counts(suite.rules, suite.seconds)})
        for rule in suite.rules:
            _add_case(element, rule, classname=_safe(suite.classname))
        if suite.said:
            ET.SubElement(element, "system-out").text = _safe(suite.said)
    if missing:
        _add_missing(root, missing)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_missing(root: ET.Element, missing: tuple[NoResult, ...]) -> None:
    suite = ET.SubElement(root, "testsuite", {"name": "nncompress sweep", **_counts((), 0, missing)})
    for trial in missing:
        names = {"classname": "nncompress.sweep", "name": _safe(trial.name), "time": "0"}
        case = ET.SubElement(suite, "testcase", names)
        said = "has not ended" if trial.exit_code is None else f"exit code {trial.exit_code}"
        ET.SubElement(case, "error", {"message": _safe(trial.reason), "type": said})


def _counts(rules: tuple[RuleResult, ...], seconds: float, missing: tuple[NoResult, ...] = ()) -> dict[str, str]:
    failures = str(sum(rule.level == "fail" for rule in rules))
    return {
        "tests": str(len(rules) + len(missing)), "failures": failures, "errors": str(len(missing)),
        "time": f"{seconds:.3f}",
    }  # fmt: skip


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
