"""Compares the figures of a check with those that an earlier one saved: what has become worse, and by what share.

A regression is the change in the bad direction over the old figure: 100 kB after 80 kB is 25 %. From zero, any change
in the bad direction is infinite, and fails every limit. A task metric is judged by the same share, in the direction
that is worse for it: 90 % after 96 % accuracy is 6.25 % worse, and so is an error of 0.34 after 0.32.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import InputError, explained
from nncompress.results.check import CHECK_SCHEMA_VERSION, CheckReport, Figures
from nncompress.results.rules.on_runs import TOO_NOISY
from nncompress.results.rules.rule import ruled
from nncompress.results.units import as_typed, format_bytes, format_cosine, format_count, format_metric, format_share
from nncompress.results.verdict import Level, RuleResult

_FIGURES: TypeAdapter[Figures] = TypeAdapter(Figures)


@dataclass(frozen=True)
class _Watched:
    """A figure that may not become worse."""

    field: str
    shown: Callable[[Any], str]
    smaller_is_better: bool = True


_WATCHED = (
    _Watched("size_bytes", format_bytes),
    _Watched("packed_bytes", format_bytes),
    _Watched("params", format_count),
    _Watched("macs", format_count),
    _Watched("cosine", format_cosine, smaller_is_better=False),
    _Watched("sample_cosine", format_cosine, smaller_is_better=False),
)


def read_baseline(text: str) -> dict[str, Figures]:
    """{path of a model: its figures} from what `check --json` wrote. Raises InputError for anything else."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"baseline is not JSON: {error}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("models"), list):
        raise InputError("baseline is not a report of nncompress check: save one with --json FILE")
    if tree.get("schema_version") != CHECK_SCHEMA_VERSION:
        version = tree.get("schema_version")
        raise InputError(f"baseline follows schema version {version!r}, this nncompress reads {CHECK_SCHEMA_VERSION}")
    try:
        figures = {str(model["path"]): model["figures"] for model in tree["models"]}
        return {path: _FIGURES.validate_python(saved) for path, saved in figures.items() if saved is not None}
    except (KeyError, TypeError) as error:
        raise InputError(f"baseline is damaged: a model lacks {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"baseline is damaged: {explained(first)}") from error


def with_regressions(report: CheckReport, baseline: Mapping[str, Figures], limit: float) -> CheckReport:
    """The report with a rule for each figure that both runs measured. `limit`: a share, 0.01 is one percent."""
    models = []
    for model in report.models:
        before = baseline.get(model.path)
        if model.figures is None:
            rules = []
        else:
            rules = [_new_rule(limit)] if before is None else _rules(before, model.figures, limit)
        models.append(replace(model, rules=(*model.rules, *rules)))
    gone = sorted(set(baseline) - {model.path for model in report.models})
    notes = [f"{path!r} is in the baseline and is not checked any more" for path in gone]
    return replace(report, models=tuple(models), notes=(*report.notes, *notes))


def regression(before: float, now: float, *, smaller_is_better: bool = True) -> float:
    """Share by which a figure became worse; negative: better; infinite: worse than zero, or not a number any more."""
    worse = now - before if smaller_is_better else before - now
    if math.isnan(worse):
        return 0.0 if math.isnan(before) else math.inf
    if before == 0:
        return math.inf if worse > 0 else 0.0 if worse == 0 else -math.inf
    return worse / abs(before)


# ------------------------------------------------------------------------------------------------ rules
def _rules(before: Figures, now: Figures, limit: float) -> list[RuleResult]:
    rules = [_rule(watched, before, now, limit) for watched in _WATCHED]
    rules += [_metric_rule(before, now, limit), _latency_rule(before, now, limit)]
    return [rule for rule in rules if rule is not None]


def _rule(watched: _Watched, before: Figures, now: Figures, limit: float) -> RuleResult | None:
    old, new = getattr(before, watched.field), getattr(now, watched.field)
    name = f"regression-{watched.field.removesuffix('_bytes').removesuffix('_ratio')}"
    if old is None:
        return None
    if new is None:
        advice = "the baseline has this figure: measure it again, or save a new baseline"
        return ruled(name, "warn", f"{watched.shown(old)} -> not measured", _limit_text(limit), advice, None, limit)
    share = regression(old, new, smaller_is_better=watched.smaller_is_better)
    level: Level = "pass" if share <= limit + 1e-12 else "fail"
    figure = f"{watched.shown(old)} -> {watched.shown(new)} ({_change(share)})"
    return ruled(name, level, figure, _limit_text(limit), _ADVICE, share, limit)


def _metric_rule(before: Figures, now: Figures, limit: float) -> RuleResult | None:
    """Of the first task metric, where it is the same one; a baseline from before its name was saved is believed."""
    names = before.metric_name or now.metric_name, now.metric_name
    if before.metric is not None and now.metric is not None and names[0] != names[1]:
        advice = "save a new baseline with --json: it was made with another metric"
        return ruled("regression-metric", "warn", f"{names[0]} -> {names[1]}", _limit_text(limit), advice, None, limit)
    known = now if before.metric_name is None else before
    shown = partial(format_metric, is_share=known.metric_is_share)
    return _rule(_Watched("metric", shown, not known.metric_higher_is_better), before, now, limit)


def _latency_rule(before: Figures, now: Figures, limit: float) -> RuleResult | None:
    """Of the ratio to the reference. Fails only where the whole 99 % interval is worse: noise breaks no build."""
    if before.latency_ratio is None or now.latency_ratio is None:
        ratio = _Watched("latency_ratio", "{:.3f}".format)
        return _rule(ratio, before, now, limit)
    share = regression(before.latency_ratio, now.latency_ratio)
    low = now.latency_ratio if now.latency_ratio_low is None else now.latency_ratio_low
    surely = regression(before.latency_ratio, low) > limit
    level: Level = "pass" if share <= limit else "fail" if surely else "warn"
    figure = f"ratio {before.latency_ratio:.3f} -> {now.latency_ratio:.3f} ({_change(share)})"
    figure += f", {TOO_NOISY}" if level == "warn" else ""
    advice = _ADVICE if surely else "the interval reaches below the limit: measure again on a quiet machine"
    return ruled("regression-latency", level, figure, _limit_text(limit), advice, share, limit)


_ADVICE = "find the change that caused it, or save a new baseline with --json if it is meant"


def _new_rule(limit: float) -> RuleResult:
    advice = "save a new baseline with --json to watch this model too"
    return ruled("regression", "warn", "not in the baseline", _limit_text(limit), advice, None, limit)


def _limit_text(limit: float) -> str:
    return f"<= {as_typed(format_share(limit))} worse"


def _change(share: float) -> str:
    if share == 0:
        return "same"
    if math.isinf(share):
        return "from nothing" if share > 0 else "to nothing"
    return f"{format_share(abs(share))} {'worse' if share > 0 else 'better'}"
