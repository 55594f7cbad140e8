"""Boils a report down to the handful of figures and the one sentence that stand above everything else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePath

from nncompress.errors import printable
from nncompress.results.record import Comparison, Latency, Report, Run, TaskMetric
from nncompress.results.units import format_bytes, format_cosine, format_counted, format_metric, format_smaller
from nncompress.results.verdict import Level
from nncompress.results.worst import (
    all_identical,
    format_equal,
    is_discrete,
    largest_drop,
    nothing_finite,
    sample_count,
    worst_cosine,
    worst_sample_cosine,
    worst_sample_sqnr_db,
    worst_sqnr_db,
)

MUCH_MORE, WORTH_SAYING_BYTES = 1.25, 16 << 20  # of the memory that a session takes


@dataclass(frozen=True)
class Summary:
    """The derived figures of a report; None: not measured."""

    level: Level
    headline: str
    size_ratio: float  # how many times smaller
    bytes_before: int
    bytes_after: int
    validated: bool
    synthetic: bool | None  # inputs
    worst_cosine: float | None
    worst_cosine_output: str | None
    worst_sqnr_db: float | None  # None too where every output is identical
    samples: int | None
    worst_sample_cosine: float | None
    worst_sample_cosine_place: str | None
    worst_sample_sqnr_db: float | None  # None too where every output is identical
    worst_sample_sqnr_place: str | None
    not_comparable: tuple[str, ...]  # outputs that are random
    metric: str | None  # the task metric that lost most
    metric_drop: float | None  # of a share its difference, else the relative change
    metric_is_share: bool | None
    latency_ratio: float | None
    latency_distinguishable: bool | None
    rules_failed: tuple[str, ...]
    rules_warned: tuple[str, ...]


def summarise(report: Report) -> Summary:
    """The derived figures of `report`."""
    comparison, run, rules = report.comparison, report.comparison.run, report.verdict.rules
    cosine = worst_cosine(run) if run else None
    sqnr = worst_sqnr_db(run) if run else None
    sample_cosine = worst_sample_cosine(run) if run else None
    sample_sqnr = worst_sample_sqnr_db(run) if run else None
    metric = largest_drop(run.metrics) if run else None
    latency = run.latency if run else None
    return Summary(
        level=report.verdict.level,
        headline=headline(report),
        size_ratio=comparison.size_ratio,
        bytes_before=comparison.reference.file_bytes,
        bytes_after=comparison.candidate.file_bytes,
        validated=run is not None,
        synthetic=run.feeds.synthetic if run else None,
        worst_cosine=cosine.value if cosine else None,
        worst_cosine_output=cosine.name if cosine else None,
        worst_sqnr_db=sqnr.value if sqnr and sqnr.value != math.inf else None,
        samples=sample_count(run) if run else None,
        worst_sample_cosine=sample_cosine.value if sample_cosine else None,
        worst_sample_cosine_place=sample_cosine.sample.place if sample_cosine and sample_cosine.sample else None,
        worst_sample_sqnr_db=sample_sqnr.value if sample_sqnr and sample_sqnr.value != math.inf else None,
        worst_sample_sqnr_place=sample_sqnr.sample.place if sample_sqnr and sample_sqnr.sample else None,
        not_comparable=tuple(output.name for output in run.outputs if output.random) if run else (),
        metric=metric.name if metric else None,
        metric_drop=metric.drop if metric else None,
        metric_is_share=metric.is_share if metric else None,
        latency_ratio=latency.ratio if latency else None,
        latency_distinguishable=latency.distinguishable if latency else None,
        rules_failed=tuple(rule.rule for rule in rules if rule.level == "fail"),
        rules_warned=tuple(rule.rule for rule in rules if rule.level == "warn"),
    )


def headline(report: Report) -> str:
    """The verdict in one sentence, such as "m.onnx -> out.onnx: 3.86x smaller (1.21 MB -> 314 kB), cosine 0.9998"."""
    comparison = report.comparison
    before, after = comparison.reference.file_bytes, comparison.candidate.file_bytes
    clauses = [f"{format_smaller(before, after)} ({format_bytes(before)} -> {format_bytes(after)})"]
    clauses += _run_clauses(comparison)
    missed = [rule.rule for rule in report.verdict.rules if rule.level == "fail"]
    clauses += [f"failed: {', '.join(missed)}"] if missed else []
    clauses += ["not written"] if report.written is False else []
    return printable(f"{' -> '.join(_names(comparison))}: {', '.join(clauses)}")


def heading(report: Report) -> str:
    """What the report is about, such as "m.onnx → out.onnx"."""
    missing = ", not written" if report.written is False else ""
    return printable(" → ".join(_names(report.comparison)) + missing)


def latency_change(latency: Latency) -> str:
    """Faster or slower by how much, or that the measurement cannot tell; and whether it is doubtful."""
    if not latency.interleaved:
        change = f"{latency.ratio:.2f}x the latency, measured one after the other"
    elif not latency.distinguishable:
        change = "not distinguishable"
    else:
        change = f"{1 / latency.ratio:.2f}x faster" if latency.ratio < 1 else f"{latency.ratio:.2f}x slower"
    return f"{change}, NOISE" if latency.noise else change


def memory_sentence(comparison: Comparison) -> str | None:
    """That a session of the result takes much more memory than one of the original, and what to do; None: it does not,
    or for another reason.

    It does not follow the file: constants that are stored small are decoded when a session is opened.
    """
    loaded, facts = comparison.run.loaded if comparison.run else None, comparison.candidate
    before, after = (one.peak_bytes for one in loaded) if loaded else (None, None)
    if before is None or after is None or facts.weight_bytes_loaded < MUCH_MORE * facts.file_bytes:
        return None
    if after < max(MUCH_MORE * before, before + WORTH_SAYING_BYTES):
        return None
    return (
        f"INFO: opening a session of the result takes {format_bytes(after)} of memory, of the original "
        f"{format_bytes(before)}: onnxruntime decodes the weights then, and keeps every step of it until it is done; "
        "--form dequantize is not decoded"
    )


def both(metric: TaskMetric) -> tuple[str, str]:
    """The figure of the original and that of the result."""
    share = metric.is_share
    return format_metric(metric.reference, is_share=share), format_metric(metric.candidate, is_share=share)


def _run_clauses(comparison: Comparison) -> list[str]:
    run = comparison.run
    if run is None:
        return ["not validated"]
    clauses = _fidelity_clauses(run)
    if run.feeds.synthetic:
        clauses = [" ".join([*clauses, "on synthetic inputs"])]
    clauses += [f"{m.name} {' -> '.join(both(m))}" for m in run.metrics[:1]]
    clauses += [f"latency {latency_change(run.latency)}"] if run.latency else []
    return clauses


def _fidelity_clauses(run: Run) -> list[str]:
    clauses = []
    worst, sample, samples = worst_cosine(run), worst_sample_cosine(run), sample_count(run)
    if any(nothing_finite(output) for output in run.outputs):
        clauses.append("nothing finite to compare in an output")
    elif all_identical(run):
        on = format_counted(run.feeds.count, "feed") if samples is None else format_counted(samples, "sample")
        clauses.append(f"outputs identical in {on}")
    elif worst is not None:
        clauses.append(f"cosine {format_cosine(worst.value)}")
        if sample is not None and samples is not None and samples > 1:
            clauses[-1] += f" (worst of {samples:,} samples {format_cosine(sample.value)})"
    else:
        discrete = [o for o in run.outputs if is_discrete(o) and not o.random]
        clauses += [f"{o.name!r} {format_equal(o.deployed)}" for o in discrete[:1] if o.deployed]
    random = sum(output.random is not None for output in run.outputs)
    return [*clauses, f"{format_counted(random, 'random output')} cannot be compared"] if random else clauses


def _names(comparison: Comparison) -> list[str]:
    """File names, or whole paths where the names alone would be the same."""
    paths = [comparison.reference.path, comparison.candidate.path]
    names = [PurePath(path).name or path for path in paths]
    return paths if names[0] == names[1] else names
