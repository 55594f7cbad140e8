"""What sweeps and benches came to, as results that can be compared, and which no other one dominates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nncompress.errors import printable
from nncompress.results.record import Report
from nncompress.results.summary import latency_change, summarise
from nncompress.results.verdict import Level


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
    metric_drop: float | None  # of a share its difference, else the relative change
    metric_is_share: bool | None
    latency_ratio: float | None
    latency_distinguishable: bool
    latency_text: str
    level: Level
    passes: tuple[str, ...]
    missed: tuple[str, ...] = ()  # limits that failed: "drop <= 1.00 points"
    made_at: str | None = None  # UTC
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
    loss_name: str  # "lost top-1, in points", "lost mse, in %", "1 - cosine ..."
    missing: tuple[NoResult, ...] = ()
    unsatisfied: tuple[str, ...] | None = None  # models of a sweep without a result that passes; None: no sweep
    reports: tuple[Report, ...] = ()  # that the results were made from

    @property
    def level(self) -> Level:
        """The worst of all; of a sweep, whether each model has a result that passes."""
        levels = {result.level for result in self.results}
        if self.unsatisfied is not None:
            levels = {"fail"} if self.unsatisfied else {"warn"} if self.missing or levels != {"pass"} else {"pass"}
        return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"


def results_of(reports: Sequence[Report], missing: Sequence[NoResult] = (), *, by_outputs: bool = False) -> Results:
    """The reports in the order given, and the trials that made none. `by_outputs`: closeness is that of the outputs
    also where there is a task metric, which on few samples moves by chance."""
    rows = [_result(report) for report in reports]
    metrics = {(row.metric, row.metric_is_share) for row in rows}
    by_metric = len(metrics) == 1 and (None, None) not in metrics and not by_outputs
    rows = [replace(row, loss=_loss(row, by_metric=by_metric)) for row in rows]
    front = [replace(row, on_front=_is_on_front(row, rows)) for row in rows]
    loss = _loss_of(*metrics.pop()) if by_metric else "1 - cosine of the worst output"
    return Results(tuple(front), printable(loss), tuple(missing), reports=tuple(reports))


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
        summary.metric_is_share,
        summary.latency_ratio,
        bool(summary.latency_distinguishable),
        f"{latency.ratio:.2f}, {latency_change(latency)}" if latency else "-",
        summary.level,
        report.passes,
        tuple(f"{rule.rule} {rule.limit}" for rule in report.verdict.rules if rule.level == "fail"),
        report.environment.made_at,
    )


def _loss_of(metric: str | None, is_share: bool | None) -> str:
    return f"lost {metric}, in {'points' if is_share else '%'}"


def _loss(result: Result, *, by_metric: bool) -> float:
    figure = result.metric_drop if by_metric else None if result.worst_cosine is None else 1 - result.worst_cosine
    return math.inf if figure is None or math.isnan(figure) else 100 * figure if by_metric else max(0.0, figure)


def _is_on_front(result: Result, every: Sequence[Result]) -> bool:
    rivals = [other for other in every if other.original_sha256 == result.original_sha256 and other.level != "fail"]
    return result.level != "fail" and not any(_dominates(_costs(other), _costs(result)) for other in rivals)


def _costs(result: Result) -> tuple[float, float, float]:
    ratio = result.latency_ratio
    if ratio is None or math.isnan(ratio):
        return result.size_bytes, result.loss, math.inf
    return result.size_bytes, result.loss, ratio if result.latency_distinguishable else 1.0


def _dominates(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))
