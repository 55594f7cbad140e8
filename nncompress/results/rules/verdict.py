"""Turns a comparison into a verdict: default rules, the user's limits, and for each what to do when it is missed.

A limit of the user replaces the default of its rule and fails when it is missed. One that could not be measured
fails too, with the option that is missing: a limit never passes because nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from nncompress.errors import printable
from nncompress.results.limits import Aim, BudgetLimits, Limits, limits_in, must_shrink
from nncompress.results.record import Comparison, LedgerLine, Run
from nncompress.results.rules.on_fidelity import demands_fidelity, fidelity_rules
from nncompress.results.rules.on_files import changed_rule, grown_rule, max_size_rule, min_ratio_rule, shrunk_rule
from nncompress.results.rules.on_requests import Requests, request_rules
from nncompress.results.rules.on_runs import (
    agreement_rule,
    closeness_rule,
    data_rule,
    drop_rule,
    finite_rule,
    integers_rule,
    interface_rule,
    latency_rule,
    not_validated_rule,
    promise_rule,
    random_rule,
)
from nncompress.results.rules.rule import WHEN_COMPARING, WHEN_COMPRESSING, Remedies
from nncompress.results.verdict import RuleResult, Verdict


def judge(
    comparison: Comparison, limits: Limits, ledger: Sequence[LedgerLine] | None = None, aim: Aim = "size",
    requests: Requests = Requests(), sources: Mapping[str, str] = MappingProxyType({}),
) -> Verdict:  # fmt: skip
    """All rules on `comparison`; `ledger` is that of the compression, None for a plain comparison of two files.

    A compression has to change something and, where size is its aim, to end smaller; of two given files the second may
    well be larger. `sources`: {limit: the file that set it}.
    """
    run, remedies = comparison.run, WHEN_COMPARING if ledger is None else WHEN_COMPRESSING
    rules: list[RuleResult | None] = [
        shrunk_rule(comparison) if ledger is not None and must_shrink(aim) else grown_rule(comparison),
        None if ledger is None else changed_rule(comparison, ledger),
        *request_rules(requests, ledger or ()),
        max_size_rule(comparison, limits.max_size),
        min_ratio_rule(comparison, limits.min_ratio),
        interface_rule(run),
        finite_rule(run, remedies),
        integers_rule(run),
        random_rule(run, remedies),
        *fidelity_rules(run, limits, ledger or (), remedies),
        _loss_rule(run, limits, requests, remedies),
        _promise_rule(run, limits, requests),
        latency_rule(run, limits.max_latency_ratio, remedies),
        data_rule(run, remedies, fidelity_demanded=demands_fidelity(limits)),
        not_validated_rule(run),
    ]
    return Verdict(with_sources((rule for rule in rules if rule is not None), sources))


def _loss_rule(run: Run | None, limits: Limits, requests: Requests, remedies: Remedies) -> RuleResult | None:
    """On a task metric; where there is none and what is allowed steered a choice, on answers."""
    if requests.chosen and limits.max_drop is not None and run is not None and not run.metrics:
        return (closeness_rule if requests.searched else agreement_rule)(run, limits.max_drop)
    return drop_rule(run, limits.max_drop, remedies)


def _promise_rule(run: Run | None, limits: Limits, requests: Requests) -> RuleResult | None:
    """Where a search found the result."""
    if not requests.searched or limits.max_drop is None or run is None:
        return None
    return promise_rule(run, limits.max_drop)


def with_sources(rules: Iterable[RuleResult], sources: Mapping[str, str]) -> tuple[RuleResult, ...]:
    """The rules with the file named that set the limit. `sources`: {name of a limit: file}."""
    files = {limit.rule: sources[name] for name, limit in _ALL_LIMITS.items() if name in sources}
    return tuple(
        replace(rule, limit=f"{rule.limit} ({printable(files[rule.rule])})") if rule.rule in files else rule
        for rule in rules
    )


_ALL_LIMITS = limits_in(Limits) | limits_in(BudgetLimits)
