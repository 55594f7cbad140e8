"""Rules as a table, and each as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nncompress.errors import printable
from nncompress.report.tables import Table, make_table
from nncompress.results.record import Report
from nncompress.results.verdict import RuleResult


def rules_table(report: Report) -> Table:
    """Every rule with its figure, its limit and what to do, in the order in which they were judged."""
    return table_of_rules("Checks", report.verdict.rules)


def table_of_rules(title: str, rules: Sequence[RuleResult]) -> Table:
    """The same for any rules."""
    rows = [[rule.level.upper(), rule.rule, rule.figure, rule.limit, rule.advice] for rule in rules]
    table = make_table(title, ["level", "rule", "figure", "limit", "what to do"], rows, set())
    return replace(table, sentences=tuple(map(rule_line, rules)))


def rule_line(rule: RuleResult, *, advice: bool = True) -> str:
    """A rule as one sentence, and what to do about it."""
    told = rule if advice else replace(rule, advice="")
    return printable(f"{told.level.upper()}  {told.rule}: {told.told}")
