"""Rules of budgets: limits on one file alone, and limits on how it runs against its reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from nncompress.results.limits import BudgetLimits
from nncompress.results.record import FileFacts, Run
from nncompress.results.rules.on_fidelity import default_sample_rule, demanded_rules, demands_fidelity
from nncompress.results.rules.on_runs import (
    data_rule,
    drop_rule,
    finite_rule,
    interface_rule,
    latency_rule,
    random_rule,
)  # fmt: skip
from nncompress.results.rules.rule import IN_BUDGET, Remedies, ruled, unmeasured
from nncompress.results.spent import ROUNDING
from nncompress.results.units import as_typed, format_bytes, format_count, format_metric
from nncompress.results.verdict import Level, RuleResult

COMPRESS = "compress the model (nncompress inspect shows where the bytes are), or raise the limit"
GENTLER = "compress more gently, or train longer"
UNKNOWN_SIZE = "this figure is not known for this model: leave the limit out"


def file_budget_rules(limits: BudgetLimits, facts: FileFacts) -> list[RuleResult]:
    """Size, packed size, parameters and multiply-accumulates."""
    rules = [
        _at_most("max-size", facts.file_bytes, limits.max_size, format_bytes, COMPRESS),
        _at_most("max-packed-size", facts.packed_bytes, limits.max_packed_size, format_bytes, COMPRESS),
        _at_most(
            "max-params", facts.parameters, limits.max_params, format_count, "use a smaller model, or raise the limit"
        ),
        _at_most("max-macs", facts.macs, limits.max_macs, format_count, "use a smaller model, or smaller inputs"),
    ]
    return [rule for rule in rules if rule is not None]


def run_budget_rules(limits: BudgetLimits, run: Run) -> list[RuleResult]:
    """Fidelity, task metric and latency."""
    pooled, of_samples = demanded_rules(run, limits, (), IN_BUDGET)
    rules = [
        *pooled,
        *of_samples,
        drop_rule(run, limits.max_drop, IN_BUDGET) if limits.max_drop is not None else None,
        *_metric_rules(run, limits.min_metric, IN_BUDGET, highest=False),
        *_metric_rules(run, limits.max_metric, IN_BUDGET, highest=True),
        latency_rule(run, limits.max_latency_ratio, IN_BUDGET) if limits.max_latency_ratio is not None else None,
    ]
    return [rule for rule in rules if rule is not None]


def reference_rules(limits: BudgetLimits, run: Run) -> list[RuleResult]:
    """Against a reference also interface, finite values, the worst sample and what both were run on."""
    limited = limits.min_sample_cosine is not None or limits.min_sample_sqnr is not None
    rules = [
        interface_rule(run),
        finite_rule(run, IN_BUDGET),
        random_rule(run, IN_BUDGET),
        *([] if limited else default_sample_rule(run, (), IN_BUDGET)),
        data_rule(run, IN_BUDGET, fidelity_demanded=demands_fidelity(limits)),
    ]
    return [rule for rule in rules if rule is not None]


def refused_rule(complaint: str) -> RuleResult:
    """A model that onnxruntime does not run fails, whatever was to be measured."""
    return ruled("runs", "fail", complaint, "runs in onnxruntime", "make the model again: it cannot be used as it is")


def unreadable_rule(complaint: str) -> RuleResult:
    """A model of which nothing is known fails, and says why."""
    return ruled("readable", "fail", complaint, "can be read", "make the file again, or mend the budget that names it")


def other_inputs_rule(model: Sequence[str], reference: str, theirs: Sequence[str]) -> RuleResult:
    """A reference that takes other inputs than the model is most likely the wrong file."""
    figure = f"inputs {', '.join(model)}; the reference {reference} takes {', '.join(theirs)}"
    advice = "name the model that this one was made from in the line reference = of the budget"
    return ruled("runs", "fail", figure, "the same inputs as the reference", advice)


def _at_most(
    name: str, figure: int | None, limit: int | None, shown: Callable[[int | None], str], advice: str
) -> RuleResult | None:
    if limit is None:
        return None
    if figure is None:
        return unmeasured(name, f"<= {as_typed(shown(limit))}", limit, UNKNOWN_SIZE)
    level: Level = "pass" if figure <= limit else "fail"
    texts = [shown(figure), as_typed(shown(limit))]
    if shown(figure) == shown(limit) and figure != limit:  # three digits do not tell them apart
        texts = [f"{figure:,}", f"{limit:,}"]
    over = f"{shown(figure - limit)} above the limit: {advice}"
    return ruled(name, level, texts[0], f"<= {texts[1]}", over, figure, limit)


def _metric_rules(run: Run, limit: float | None, remedies: Remedies, *, highest: bool) -> list[RuleResult]:
    """One rule for each task metric of the model itself that is better this way, whatever the reference reaches."""
    if limit is None:
        return []
    name, sign = ("max-metric", "<=") if highest else ("metric", ">=")
    judged = [metric for metric in run.metrics if metric.higher_is_better != highest]
    if not judged:
        advice = _other_way(run, highest=highest) if run.metrics else remedies.labels
        return [unmeasured(name, f"{sign} {limit:g}", limit, advice)]
    rules = []
    for metric in judged:
        shown = partial(format_metric, is_share=metric.is_share)
        kept = metric.candidate <= limit + ROUNDING if highest else metric.candidate >= limit - ROUNDING
        figure = f"{metric.name} {shown(metric.candidate)} ({metric.samples} samples)"
        level: Level = "pass" if kept else "fail"
        rules.append(ruled(name, level, figure, f"{sign} {as_typed(shown(limit))}", GENTLER, metric.candidate, limit))
    return rules


def _other_way(run: Run, *, highest: bool) -> str:
    names = ", ".join(metric.name for metric in run.metrics)
    if highest:
        other = "name a metric such as mse (your own: FUNCTION.lower_is_better = True)"
        return f"{names}: higher is better, so limit it with min_metric, or {other}"
    return f"{names}: lower is better, so limit it with max_metric, or name a metric such as top-1"
