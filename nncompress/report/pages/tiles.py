"""The figures that a page begins with, each with one small picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nncompress.errors import printable
from nncompress.report.charts.boxes import Box, Key, of_rules, pair
from nncompress.report.charts.closeness import FULL_DB, db_pair
from nncompress.results.record import Comparison, Run, TaskMetric
from nncompress.results.summary import both, latency_change
from nncompress.results.units import (
    NOT_MEASURED,
    format_bytes,
    format_cosine,
    format_counted,
    format_db,
    format_drop,
    format_ms,
    format_smaller,
)
from nncompress.results.verdict import Level, RuleResult, worst_level
from nncompress.results.worst import (
    all_identical,
    format_equal,
    is_discrete,
    largest_drop,
    sample_count,
    worst_cosine,
    worst_sample_cosine,
    worst_sample_sqnr_db,
    worst_sqnr_db,
)

_SIZE = {"size", "max-size", "ratio", "changed"}
_TASK = {"drop", "metric", "max-metric"}
_CLOSENESS = {
    "fidelity", "worst-sample", "cosine", "sqnr", "sample-cosine", "sample-sqnr", "finite", "interface", "integers",
    "random", "data", "validated",
}  # fmt: skip
_LATENCY = {"latency-ratio"}


@dataclass(frozen=True)
class Tile:
    """A figure, its picture, and what the picture shows."""

    title: str
    figure: str
    boxes: tuple[Box, ...] = ()
    keys: tuple[Key, ...] = ()
    level: Level = "pass"


def tiles(comparison: Comparison, rules: Sequence[RuleResult]) -> tuple[Tile, ...]:
    """Size, task metric, closeness, latency and verdict; what was not measured is said."""
    run = comparison.run
    metric = largest_drop(run.metrics) if run else None
    return (
        _size_tile(comparison, rules),
        *([_metric_tile(metric, rules)] if metric else []),
        _closeness_tile(run, rules),
        _latency_tile(run, rules),
        verdict_tile(rules),
    )


def verdict_tile(rules: Sequence[RuleResult]) -> Tile:
    """A box for each rule."""
    counts = {level: sum(rule.level == level for rule in rules) for level in ("pass", "warn", "fail")}
    level = worst_level(rules)
    said = {"fail": "failed", "warn": format_counted(counts["warn"], "warning").split()[1], "pass": "passed"}
    keys = [Key(name, f"{counts[name]} {said[name]}") for name in ("fail", "warn", "pass") if counts[name]]
    return Tile("Verdict", level.upper(), of_rules(rules), tuple(keys), level)


def _level(rules: Sequence[RuleResult], names: set[str]) -> Level:
    return worst_level(rule for rule in rules if rule.rule in names)


def _size_tile(comparison: Comparison, rules: Sequence[RuleResult]) -> Tile:
    before, after = comparison.reference.file_bytes, comparison.candidate.file_bytes
    return Tile(
        "Size",
        format_smaller(before, after),
        pair(before, after, max(before, after)),
        (Key("before", f"{format_bytes(before)} original"), Key("after", f"{format_bytes(after)} result")),
        _level(rules, _SIZE),
    )


def _metric_tile(metric: TaskMetric, rules: Sequence[RuleResult]) -> Tile:
    before, after = both(metric)
    figures = [value for value in (metric.reference, metric.candidate) if math.isfinite(value)]
    return Tile(
        printable(metric.name),
        printable(after),
        pair(metric.reference, metric.candidate, 1.0 if metric.is_share else max(figures, default=1.0)),
        (
            Key("before", f"{before} original"),
            Key("after", f"{after} result"),
            Key("", f"{_lost(metric)}, {format_counted(metric.samples, 'sample')}"),
        ),
        _level(rules, _TASK),
    )


def _lost(metric: TaskMetric) -> str:
    drop = metric.drop
    if drop == 0:
        return "nothing lost"
    word = ("lost" if metric.is_share else "worse") if not drop < 0 else ("gained" if metric.is_share else "better")
    return f"{format_drop(abs(drop), is_share=metric.is_share)} {word}"


def _closeness_tile(run: Run | None, rules: Sequence[RuleResult]) -> Tile:
    level = _level(rules, _CLOSENESS)
    if run is None:
        return Tile("Outputs", "not validated", keys=(Key("", "neither model was run"),), level=level)
    cosine, sqnr, sample = worst_cosine(run), worst_sqnr_db(run), worst_sample_sqnr_db(run)
    keys = [Key("", "on synthetic inputs: no proof")] if run.feeds.synthetic else []
    if all_identical(run):
        samples = format_counted(sample_count(run) or run.feeds.count, "sample" if sample_count(run) else "feed")
        return Tile("Outputs", "identical", db_pair(math.inf, None), (Key("after", f"in {samples}"), *keys), level)
    if cosine is None or sqnr is None:
        equal = [o.deployed for o in run.outputs if is_discrete(o) and not o.random and o.deployed]
        figure = format_equal(equal[0]) if equal else NOT_MEASURED
        return Tile("Outputs", figure, keys=tuple(keys), level=level)
    keys = [Key("after", f"SQNR {format_db(sqnr.value)}, bar to {FULL_DB:g} dB"), *_worst_keys(run), *keys]
    boxes = db_pair(sqnr.value, sample.value if sample else None)
    return Tile("Outputs", f"cosine {format_cosine(cosine.value)}", boxes, tuple(keys), level)


def _worst_keys(run: Run) -> list[Key]:
    cosine, sqnr = worst_sample_cosine(run), worst_sample_sqnr_db(run)
    if sqnr is None:
        return []
    place = f" ({printable(sqnr.sample.place)})" if sqnr.sample else ""
    also = f", cosine {format_cosine(cosine.value)}" if cosine else ""
    return [Key("worst", f"worst sample {format_db(sqnr.value)}{also}{place}")]


def _latency_tile(run: Run | None, rules: Sequence[RuleResult]) -> Tile:
    level = _level(rules, _LATENCY)
    if run is None or run.latency is None:
        return Tile("Latency", NOT_MEASURED, level=level)
    latency = run.latency
    told = latency.distinguishable or not latency.interleaved
    before, after = latency.reference.median_ms, latency.candidate.median_ms
    keys = (
        Key("before", f"{format_ms(before)} original"),
        Key("after", f"{format_ms(after)} result"),
        Key("", f"ratio {latency.ratio:.3f} [{latency.ratio_low:.3f}, {latency.ratio_high:.3f}]"),
        *([] if told else [Key("", "not distinguishable")]),
        *([Key("warn", "noisy: measure again on a quiet machine")] if latency.noise else []),
    )
    figure = latency_change(replace(latency, noise=())) if told else "no clear change"
    return Tile("Latency", figure, pair(before, after, max(before, after)), keys, level)
