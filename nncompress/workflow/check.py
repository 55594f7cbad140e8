"""Measures models and judges them by their budgets; every model and every comparison is measured once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.config.budget import Budget, Config
from nncompress.errors import InputError, NoOutputError, UsageError, nearest
from nncompress.feeds.fed import fed_values
from nncompress.model.model import Model
from nncompress.model.value_types import type_of, type_text
from nncompress.onnx_file.facts import file_facts
from nncompress.onnx_file.read import load
from nncompress.progress import counted
from nncompress.results.check import CheckedModel, CheckReport, Figures
from nncompress.results.limits import BudgetLimits, names_of
from nncompress.results.record import FileFacts, Run, TaskMetric
from nncompress.results.rules.on_budgets import (
    file_budget_rules,
    other_inputs_rule,
    reference_rules,
    refused_rule,
    run_budget_rules,
    unreadable_rule,
)
from nncompress.results.rules.verdict import with_sources
from nncompress.results.verdict import RuleResult
from nncompress.results.worst import (
    largest_drop,
    worst_cosine,
    worst_sample_cosine,
    worst_sample_sqnr_db,
    worst_sqnr_db,
)
from nncompress.runtime.environment import environment
from nncompress.validate.metrics.names import metric_from
from nncompress.workflow.proof import Proof, free_dims, opened, with_libraries


@dataclass(frozen=True)
class Comparing:
    """What a model is run against, and on what; equal ones are run once."""

    reference: Path
    data: Path | None
    labels: Path | None
    metrics: tuple[str, ...] = ()
    metric_output: str | None = None


@with_libraries
def check_budgets(config: Config, proof: Proof) -> CheckReport:
    """Checks all models of a configuration without problems. Each takes those of `proof.dims` that its inputs have.

    A model that cannot be read, or whose reference or data cannot, has no figures and fails; the others are checked.
    Raises UsageError for a dimension that no model has.
    """
    here, notes = environment(), []
    by_model: dict[Path, list[Budget]] = {}
    for budget in config.budgets:
        paths = config.models(budget)
        if not paths:
            notes.append(f"{budget.path!r} matches no file, which its budget allows")
        for path in paths:
            by_model.setdefault(path, []).append(budget)
    _check_dims(config, by_model, proof.dims)
    models = tuple(
        _checked(config, path, budgets, proof)
        for path, budgets in counted("checking models", by_model.items(), len(by_model))
    )
    return CheckReport(str(config.path), models, here, tuple(notes))


def _checked(config: Config, path: Path, budgets: list[Budget], proof: Proof) -> CheckedModel:
    try:
        return _measured(config, path, budgets, proof)
    except InputError as error:
        return CheckedModel(path.as_posix(), None, None, (unreadable_rule(str(error)),))


def _measured(config: Config, path: Path, budgets: list[Budget], proof: Proof) -> CheckedModel:
    model = load(config.folder / path)
    facts = file_facts(model)
    measured: dict[Comparing, Run | RuleResult] = {}
    rules: list[RuleResult] = []
    for comparing in _comparisons(config, path, budgets):
        timed = any(b.max_latency_ratio is not None for b in budgets if _comparing(config, path, b) == comparing)
        measured[comparing] = _run(
            config.folder / path, model, comparing, proof if timed else replace(proof, seconds=0)
        )
    budget_sources = dict.fromkeys(names_of(BudgetLimits), str(config.path))
    for budget in budgets:
        own = _comparing(config, path, budget)
        judged = file_budget_rules(budget, facts) + ([] if own is None else _run_rules(budget, measured[own]))
        rules += [_at_level(rule, budget) for rule in with_sources(judged, budget_sources)]
    against = {_comparing(config, path, budget) for budget in budgets if budget.reference is not None}
    runs = {comparing: run for comparing, run in measured.items() if isinstance(run, Run)}
    compared = sorted((run for key, run in runs.items() if key in against), key=lambda run: run.latency is None)
    metrics = [run.metrics[0] for run in [*compared, *runs.values()] if run.metrics]
    measurements = figures(facts, compared[0] if compared else None, metrics[0] if metrics else None)
    return CheckedModel(path.as_posix(), facts.sha256, measurements, tuple(dict.fromkeys(rules)))


def _run_rules(budget: Budget, result: Run | RuleResult) -> list[RuleResult]:
    """Of what a comparison measured; or the rule that the model breaks where it could not be run."""
    if isinstance(result, RuleResult):
        return [result]
    return run_budget_rules(budget, result) + (reference_rules(budget, result) if budget.reference is not None else [])


def _comparisons(config: Config, path: Path, budgets: list[Budget]) -> list[Comparing]:
    every = [_comparing(config, path, budget) for budget in budgets]
    return list(dict.fromkeys(comparing for comparing in every if comparing is not None))


def _comparing(config: Config, path: Path, budget: Budget) -> Comparing | None:
    """None where no limit of the budget needs the model to be run. Without a reference it is run against itself."""
    if not budget.runs:
        return None
    data, labels = (config.folder / name if name is not None else None for name in (budget.data, budget.labels))
    reference = config.folder / (budget.reference or path)
    metrics = tuple(metric_from(config.folder, name) for name in budget.metric or ())
    return Comparing(reference, data, labels, metrics, budget.metric_output)


def _check_dims(config: Config, by_model: Mapping[Path, list[Budget]], dims: Mapping[str, int]) -> None:
    """Raises UsageError for a dimension that none of the models has which are run on made-up inputs."""
    comparisons = [each for path, budgets in by_model.items() for each in _comparisons(config, path, budgets)]
    made_up = dict.fromkeys(comparing.reference for comparing in comparisons if comparing.data is None)
    if not dims or not made_up:
        return
    known = [name for path in made_up for name in _readable_dims(path)]
    for name, size in dims.items():
        if name not in known:
            hint = nearest(name, dict.fromkeys(known))
            raise UsageError(f"--dim {name}={size}: no model of this check has a free dimension {name!r}{hint}")


def _readable_dims(path: Path) -> list[str]:
    """The free dimensions of a model; none of one that cannot be read, which fails later by itself."""
    try:
        return list(free_dims(load(path)))
    except InputError:
        return []


def _run(path: Path, model: Model, comparing: Comparing, proof: Proof) -> Run | RuleResult:
    """What the comparison measured, or the rule that the model at `path` breaks: it cannot be run, or not so."""
    reference = model if comparing.reference == path else load(comparing.reference)
    ours, theirs = _inputs(model), _inputs(reference)
    if ours != theirs:
        return other_inputs_rule(ours, str(comparing.reference), theirs)
    free = free_dims(reference)
    own = replace(
        proof, data=comparing.data, labels=comparing.labels, metrics=comparing.metrics,
        metric_output=comparing.metric_output, dims={name: size for name, size in proof.dims.items() if name in free},
    )  # fmt: skip
    try:
        with opened(reference, comparing.reference, own) as original:
            run = original.compare(path, model)
    except NoOutputError as error:
        return refused_rule(str(error))
    assert run is not None, "comparisons are validated"
    model.check_in_place()
    reference.check_in_place()
    return run


def _inputs(model: Model) -> list[str]:
    """Names and types of what has to be fed, in order: the inputs that are no initializers."""
    return [f"{value.name!r} {type_text(type_of(value))}" for value in fed_values(model.ir)]


def figures(facts: FileFacts, run: Run | None, metric: TaskMetric | None) -> Figures:
    """The figures of one model: `run` is that against a reference, `metric` the first task metric of the model."""
    measured = Figures(facts.file_bytes, facts.packed_bytes, facts.parameters, facts.macs)
    if metric is not None:
        measured = replace(
            measured,
            metric=metric.candidate,
            metric_name=metric.name,
            metric_higher_is_better=metric.higher_is_better,
            metric_is_share=metric.is_share,
        )
    if run is None:
        return measured
    cosine, sqnr, lost, latency = worst_cosine(run), worst_sqnr_db(run), largest_drop(run.metrics), run.latency
    sample_cosine, sample_sqnr = worst_sample_cosine(run), worst_sample_sqnr_db(run)
    return replace(
        measured,
        cosine=cosine.value if cosine else None,
        sqnr_db=sqnr.value if sqnr else None,
        sample_cosine=sample_cosine.value if sample_cosine else None,
        sample_sqnr_db=sample_sqnr.value if sample_sqnr else None,
        latency_ratio=latency.ratio if latency else None,
        latency_ratio_low=latency.ratio_low if latency else None,
        latency_ratio_high=latency.ratio_high if latency else None,
        drop=lost.drop if lost else None,
    )


def _at_level(rule: RuleResult, budget: Budget) -> RuleResult:
    """A budget of level "warn" warns about what it would otherwise fail."""
    return replace(rule, level="warn") if rule.level == "fail" and budget.level == "warn" else rule
