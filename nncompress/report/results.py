"""Many results in one table, and which of them are on the Pareto front of size, accuracy and latency.

A result is on the front where no other of the same original is at least as small, as close and as fast, and better
in one of the three. Closeness is the drop of the task metric where every result has one of the same name, else the
cosine of the worst output. Latency that cannot be told from the original's counts as the same. What was not measured
counts as worst, and a result whose verdict is FAIL is on no front.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from nncompress.errors import printable
from nncompress.report.record import Level, Report
from nncompress.report.summary import latency_change, summarise
from nncompress.report.tables import Table, make_table
from nncompress.report.units import format_bytes, format_cosine, format_points, format_smaller

NOTE = "* on the Pareto front: no other result of the same original is as small, as close and as fast"
_HEADER = ["result", "front", "original", "size", "change", "cosine", "lost", "latency", "verdict", "passes"]


@dataclass(frozen=True)
class Result:
    """One report as a line of the table."""

    name: str
    original: str
    original_sha256: str
    size_bytes: int
    original_bytes: int
    worst_cosine: float | None
    metric: str | None
    metric_drop: float | None  # as a fraction
    latency_ratio: float | None
    latency_distinguishable: bool
    latency_text: str
    level: Level
    passes: tuple[str, ...]
    on_front: bool = False
    loss: float = math.inf  # what the front judges closeness by


@dataclass(frozen=True)
class NoResult:
    """A trial of a sweep that made no report."""

    name: str
    exit_code: int | None  # None: it has not ended
    reason: str


@dataclass(frozen=True)
class Results:
    """All of them, and what `loss` is."""

    results: tuple[Result, ...]
    loss_name: str  # "drop of top-1, in points", "1 - cosine"
    missing: tuple[NoResult, ...] = ()
    unsatisfied: tuple[str, ...] | None = None  # models of a sweep without a result that passes; None: no sweep

    @property
    def level(self) -> Level:
        """The worst of all; of a sweep, whether each model has a result that passes."""
        levels = {result.level for result in self.results}
        if self.unsatisfied is not None:
            levels = {"fail"} if self.unsatisfied else {"warn"} if self.missing or levels != {"pass"} else {"pass"}
        return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"


def results_of(reports: Sequence[Report], missing: Sequence[NoResult] = ()) -> Results:
    """The reports in the order given, and the trials that made none."""
    rows = [_result(report) for report in reports]
    metrics = {row.metric for row in rows}
    by_metric = len(metrics) == 1 and None not in metrics
    rows = [replace(row, loss=_loss(row, by_metric=by_metric)) for row in rows]
    front = [replace(row, on_front=_is_on_front(row, rows)) for row in rows]
    loss = f"lost {metrics.pop()}, in points" if by_metric else "1 - cosine of the worst output"
    return Results(tuple(front), printable(loss), tuple(missing))


def results_table(found: Results) -> Table:
    """One row a result."""
    names = _short({one.name for one in found.results})
    originals = _short({one.original for one in found.results})
    rows = [
        [
            names[one.name],
            "*" if one.on_front else "",
            originals[one.original],
            format_bytes(one.size_bytes),
            format_smaller(one.original_bytes, one.size_bytes),
            format_cosine(one.worst_cosine),
            "-" if one.metric_drop is None else f"{one.metric} {format_points(one.metric_drop)}",
            one.latency_text,
            one.level.upper(),
            " + ".join(one.passes),
        ]
        for one in found.results
    ]
    return make_table("Results", _HEADER, rows, {3, 5, 6})


def missing_table(found: Results) -> Table:
    """One row a trial that made no report."""
    rows = [[one.name, "-" if one.exit_code is None else str(one.exit_code), one.reason] for one in found.missing]
    return make_table("Without result", ["trial", "exit code", "why"], rows, {1})


def results_headline(found: Results) -> str:
    """Such as "4 results, 2 on the Pareto front, 1 failed, 1 without result"."""
    front = sum(one.on_front for one in found.results)
    failed = sum(one.level == "fail" for one in found.results)
    parts = [f"{len(found.results)} result{'s' * (len(found.results) != 1)}", f"{front} on the Pareto front"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{len(found.missing)} without result"] if found.missing else []
    parts += [f"no result that passes for {printable(', '.join(found.unsatisfied))}"] if found.unsatisfied else []
    return ", ".join(parts)


def _short(paths: Iterable[str]) -> dict[str, str]:
    """File names, or whole paths where the names alone would not tell them apart."""
    whole = list(paths)
    names = [PurePath(path).name for path in whole]
    return dict(zip(whole, names if len(set(names)) == len(whole) else whole, strict=True))


# ------------------------------------------------------------------------------------------------ the front
def _result(report: Report) -> Result:
    summary, comparison = summarise(report), report.comparison
    latency = comparison.run.latency if comparison.run else None
    return Result(
        comparison.candidate.path,
        comparison.reference.path,
        comparison.reference.sha256,
        summary.bytes_after,
        summary.bytes_before,
        summary.worst_cosine,
        summary.metric,
        summary.metric_drop,
        summary.latency_ratio,
        bool(summary.latency_distinguishable),
        f"{latency.ratio:.2f}, {latency_change(latency)}" if latency else "-",
        summary.level,
        report.passes,
    )


def _loss(one: Result, *, by_metric: bool) -> float:
    figure = one.metric_drop if by_metric else None if one.worst_cosine is None else 1 - one.worst_cosine
    return math.inf if figure is None or math.isnan(figure) else 100 * figure if by_metric else max(0.0, figure)


def _is_on_front(one: Result, every: Sequence[Result]) -> bool:
    rivals = [other for other in every if other.original_sha256 == one.original_sha256 and other.level != "fail"]
    return one.level != "fail" and not any(_dominates(_costs(other), _costs(one)) for other in rivals)


def _costs(one: Result) -> tuple[float, float, float]:
    ratio = one.latency_ratio
    if ratio is None or math.isnan(ratio):
        return one.size_bytes, one.loss, math.inf
    return one.size_bytes, one.loss, ratio if one.latency_distinguishable else 1.0


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
