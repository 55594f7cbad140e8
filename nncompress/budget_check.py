"""Measures models and judges them by their budgets; every model and every comparison is measured once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.budget import Budget, Config
from nncompress.environment import environment
from nncompress.errors import NoOutputError
from nncompress.model.facts import file_facts
from nncompress.model.io import load
from nncompress.report.budget_rules import file_budget_rules, refused_rule, run_budget_rules
from nncompress.report.check_record import CheckedModel, CheckReport, Figures
from nncompress.report.record import FileFacts, RuleResult, Run
from nncompress.report.worst import largest_drop, worst_cosine, worst_sqnr_db
from nncompress.workflow import Proof, compare_files


@dataclass(frozen=True)
class Comparing:
    """What a model is run against, and on what; equal ones are run once."""

    reference: Path
    data: Path | None
    labels: Path | None


def check_budgets(config: Config, proof: Proof) -> CheckReport:
    """Checks all models of a configuration without problems. Raises InputError for an unreadable model or data."""
    by_model: dict[Path, list[Budget]] = {}
    notes = []
    for budget in config.budgets:
        found = config.models(budget)
        if not found:
            notes.append(f"{budget.path!r} matches no file, which its budget allows")
        for path in found:
            by_model.setdefault(path, []).append(budget)
    models = tuple(_checked(config, path, budgets, proof) for path, budgets in by_model.items())
    return CheckReport(str(config.path), models, environment(), tuple(notes))


def _checked(config: Config, path: Path, budgets: list[Budget], proof: Proof) -> CheckedModel:
    facts = file_facts(load(config.folder / path))
    measured: dict[Comparing, Run | NoOutputError] = {}
    rules: list[RuleResult] = []
    for comparing in _comparisons(config, path, budgets):
        timed = any(b.max_latency_ratio is not None for b in budgets if _comparing(config, path, b) == comparing)
        measured[comparing] = _run(config.folder / path, comparing, proof if timed else replace(proof, seconds=0))
    for budget in budgets:
        made = file_budget_rules(budget, facts)
        asked = _comparing(config, path, budget)
        if asked is not None:
            result = measured[asked]
            made += (
                [refused_rule(str(result))] if isinstance(result, NoOutputError) else run_budget_rules(budget, result)
            )
        rules += [_at_level(rule, budget) for rule in made]
    runs = sorted((r for r in measured.values() if isinstance(r, Run)), key=lambda run: run.latency is None)
    run = runs[0] if runs else None
    return CheckedModel(path.as_posix(), facts.sha256, figures(facts, run), tuple(dict.fromkeys(rules)))


def _comparisons(config: Config, path: Path, budgets: list[Budget]) -> list[Comparing]:
    found = [_comparing(config, path, budget) for budget in budgets]
    return list(dict.fromkeys(one for one in found if one is not None))


def _comparing(config: Config, path: Path, budget: Budget) -> Comparing | None:
    """None where no limit of the budget needs the model to be run. Without a reference it is run against itself."""
    if not budget.runs:
        return None
    data, labels = (config.folder / name if name is not None else None for name in (budget.data, budget.labels))
    return Comparing(config.folder / (budget.reference or path), data, labels)


def _run(model: Path, comparing: Comparing, proof: Proof) -> Run | NoOutputError:
    """What the comparison measured, or onnxruntime's complaint about the model."""
    asked = replace(proof, data=comparing.data, labels=comparing.labels)
    try:
        run = compare_files(comparing.reference, model, proof=asked).comparison.run
    except NoOutputError as error:
        return error
    assert run is not None, "comparisons are validated"
    return run


def figures(facts: FileFacts, run: Run | None) -> Figures:
    """The figures of one model, those of the run where there was one."""
    size = Figures(facts.file_bytes, facts.packed_bytes, facts.parameters, facts.macs)
    if run is None:
        return size
    cosine, sqnr, lost, latency = worst_cosine(run), worst_sqnr_db(run), largest_drop(run.metrics), run.latency
    return replace(
        size,
        cosine=cosine.value if cosine else None,
        sqnr_db=sqnr.value if sqnr else None,
        latency_ratio=latency.ratio if latency else None,
        latency_ratio_low=latency.ratio_low if latency else None,
        latency_ratio_high=latency.ratio_high if latency else None,
        metric=run.metrics[0].candidate if run.metrics else None,
        drop=lost.drop if lost else None,
    )


def _at_level(rule: RuleResult, budget: Budget) -> RuleResult:
    """A budget of level "warn" warns about what it would otherwise fail."""
    return replace(rule, level="warn") if rule.level == "fail" and budget.level == "warn" else rule
