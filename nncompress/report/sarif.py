"""Renders missed rules as SARIF 2.1.0, which code scanning reads: a result for each rule that fails or warns.

Schema: https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from nncompress.errors import printable
from nncompress.report.json_text import dumped
from nncompress.results.check import CheckReport
from nncompress.results.front import Results
from nncompress.results.record import Environment, Report
from nncompress.results.rules.meanings import meaning
from nncompress.results.verdict import RuleResult

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"fail": "error", "warn": "warning", "pass": "none"}


@dataclass(frozen=True)
class Judged:
    """A rule and the model file that it judged."""

    path: str
    rule: RuleResult


def render_sarif(report: Report) -> str:
    """The rules of a compression or comparison are about its result."""
    path = report.comparison.candidate.path
    return _log([Judged(path, rule) for rule in report.verdict.rules], report.environment)


def render_check_sarif(report: CheckReport) -> str:
    """Those of each model."""
    return _log([Judged(model.path, rule) for model in report.models for rule in model.rules], report.environment)


def render_results_sarif(results: Results) -> str:
    """Those of each report; a trial without one is a result of its own."""
    judged = [Judged(r.comparison.candidate.path, rule) for r in results.reports for rule in r.verdict.rules]
    judged += [Judged(t.name, RuleResult("result", "fail", t.reason, "makes a result", "")) for t in results.missing]
    return _log(judged, results.reports[0].environment if results.reports else None)


def _log(judged: Sequence[Judged], environment: Environment | None) -> str:
    names = list(dict.fromkeys(one.rule.rule for one in judged))
    driver: dict[str, Any] = {"name": "nncompress", "rules": [_rule(name) for name in names]}
    invocation: dict[str, Any] = {"executionSuccessful": True}
    if environment is not None:
        driver["version"] = environment.nncompress
        invocation |= {"startTimeUtc": environment.made_at} if environment.made_at else {}
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": list(_results(judged, names)),
    }
    return dumped({"$schema": SCHEMA, "version": VERSION, "runs": [run]})


def _rule(name: str) -> dict[str, Any]:
    text = {"text": printable(meaning(name))}
    return {"id": printable(name), "shortDescription": text, "fullDescription": text, "help": text}


def _results(judged: Iterable[Judged], names: Sequence[str]) -> Iterable[dict[str, Any]]:
    for one in judged:
        if one.rule.level == "pass":
            continue
        rule = one.rule
        place = {"artifactLocation": {"uri": uri(one.path)}, "region": {"startLine": 1}}  # viewers want a line
        yield {
            "ruleId": printable(rule.rule),
            "ruleIndex": names.index(rule.rule),
            "level": _LEVELS[rule.level],
            "message": {"text": printable(f"{rule.rule}: {rule.told}")},
            "locations": [{"physicalLocation": place}],
        }


def uri(path: str) -> str:
    """Relative where the path is, which viewers resolve against the repository."""
    whole = PurePath(path)
    return whole.as_uri() if whole.is_absolute() else quote(whole.as_posix().encode("utf-8", "surrogateescape"))
