"""Rules on how close the outputs stay, judged on the worst output as deployed, naming the weight to look at first.

Without limits two rules. `fidelity`, on all samples together: warn below cosine 0.99 or SQNR 20 dB, fail below cosine
0.5, where the outputs no longer resemble the original's. `worst-sample`, on the one that lost most, which others hide
in a figure of them all: warn below cosine 0.9 or SQNR 6 dB. With limits, rules of their names take the place.
"""

from __future__ import annotations

import glob
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.results.limits import RunLimits
from nncompress.results.record import LedgerLine, OutputComparison, Run
from nncompress.results.rules.rule import NOTHING_RUN, WHEN_COMPRESSING, Remedies, ruled, unmeasured
from nncompress.results.units import NOT_MEASURED, format_cosine, format_db
from nncompress.results.verdict import Level, RuleResult
from nncompress.results.worst import (
    Worst,
    cosine,
    counting,
    is_discrete,
    nothing_finite,
    sample_count,
    sqnr_db,
    worst_cosine,
    worst_sample_cosine,
    worst_sample_sqnr_db,
    worst_sqnr_db,
    worst_weight,
)

WARN_COSINE = 0.99
WARN_SQNR_DB = 20.0
FAIL_COSINE = 0.5
WARN_SAMPLE_COSINE = 0.9
WARN_SAMPLE_SQNR_DB = 6.0


@dataclass(frozen=True)
class _Limited:
    """A figure that users may limit."""

    rule: str
    worst: Callable[[Run], Worst | None]
    of_output: Callable[[OutputComparison], float | None]
    shown: Callable[[float], str]
    unit: str = ""


_POOLED = {
    "min_cosine": _Limited("cosine", worst_cosine, cosine, format_cosine),
    "min_sqnr": _Limited("sqnr", worst_sqnr_db, sqnr_db, format_db, " dB"),
}
_OF_SAMPLES = {
    "min_sample_cosine": _Limited("sample-cosine", worst_sample_cosine, cosine, format_cosine),
    "min_sample_sqnr": _Limited("sample-sqnr", worst_sample_sqnr_db, sqnr_db, format_db, " dB"),
}


def demands_fidelity(limits: RunLimits) -> bool:
    """True if one of the limits is on how close the outputs stay."""
    return any(getattr(limits, name) is not None for name in (*_POOLED, *_OF_SAMPLES))


def fidelity_rules(
    run: Run | None, limits: RunLimits, ledger: Sequence[LedgerLine], remedies: Remedies = WHEN_COMPRESSING
) -> list[RuleResult]:
    """The default rules, or those that the user's limits put in their place."""
    pooled, of_samples = demanded_rules(run, limits, ledger, remedies)
    if run is not None:
        pooled = pooled or _default_rule(run, ledger, remedies)
        of_samples = of_samples or default_sample_rule(run, ledger, remedies)
    return pooled + of_samples


def demanded_rules(
    run: Run | None, limits: RunLimits, ledger: Sequence[LedgerLine], remedies: Remedies
) -> tuple[list[RuleResult], list[RuleResult]]:
    """Those of the user's limits, on all samples together and on the worst one."""
    pooled, of_samples = (_limit_rules(run, limits, figures, ledger, remedies) for figures in (_POOLED, _OF_SAMPLES))
    return pooled, of_samples


def _limit_rules(
    run: Run | None, limits: RunLimits, figures: dict[str, _Limited], ledger: Sequence[LedgerLine], remedies: Remedies
) -> list[RuleResult]:
    """One rule for each of the `figures` that the user limits."""
    return [
        _limit_rule(figure, run, limit, ledger, remedies)
        for name, figure in figures.items()
        if (limit := getattr(limits, name)) is not None
    ]


def _limit_rule(
    figure: _Limited, run: Run | None, limit: float, ledger: Sequence[LedgerLine], remedies: Remedies
) -> RuleResult:
    text = f">= {limit:.10g}{figure.unit}"
    worst, missing = (figure.worst(run), _without(run, figure.of_output)) if run else (None, [])
    if run is not None and worst is None and not missing and any(o.random for o in run.outputs):
        return ruled(figure.rule, "warn", NOT_MEASURED, text, "no output can be compared: all are random", None, limit)
    if run is None or worst is None or missing:
        return unmeasured(figure.rule, text, limit, _why_unmeasured(run, remedies))
    level: Level = "pass" if worst.value >= limit else "fail"
    shown = f"{figure.shown(worst.value)} ({_whose(worst)})"
    return ruled(figure.rule, level, shown, text, _gentler(ledger, remedies), worst.value, limit)


def _whose(worst: Worst) -> str:
    return f"output {worst.name!r}" + (f", {worst.sample.place}" if worst.sample else "")


def default_sample_rule(run: Run, ledger: Sequence[LedgerLine], remedies: Remedies) -> list[RuleResult]:
    """None where there is one sample only, or nothing to measure in it."""
    by_cosine, by_sqnr = worst_sample_cosine(run), worst_sample_sqnr_db(run)
    if (sample_count(run) or 0) < 2 or (by_cosine is None and by_sqnr is None):
        return []
    poor = _below(by_cosine, WARN_SAMPLE_COSINE) or _below(by_sqnr, WARN_SAMPLE_SQNR_DB)
    limit = f"cosine >= {WARN_SAMPLE_COSINE:g}, SQNR >= {WARN_SAMPLE_SQNR_DB:g} dB"
    advice = f"a sample lost much of its output, whatever the others kept: {_gentler(ledger, remedies)}"
    value = by_cosine.value if by_cosine else None
    figure = _figures(by_cosine, by_sqnr)
    return [ruled("worst-sample", "warn" if poor else "pass", figure, limit, advice, value, WARN_SAMPLE_COSINE)]


def _default_rule(run: Run, ledger: Sequence[LedgerLine], remedies: Remedies) -> list[RuleResult]:
    by_cosine, by_sqnr, missing = worst_cosine(run), worst_sqnr_db(run), _without(run, cosine)
    if by_cosine is None and not missing and any(output.random for output in run.outputs):
        return []  # which has a rule of its own
    level = _default_level(by_cosine, by_sqnr, missing)
    limit = f"cosine >= {WARN_COSINE:g}, SQNR >= {WARN_SQNR_DB:g} dB"
    poor = _below(by_cosine, WARN_COSINE) or _below(by_sqnr, WARN_SQNR_DB)
    advice = _gentler(ledger, remedies) if poor else _why_unmeasured(run, remedies)
    if level == "fail":
        advice = f"the outputs no longer resemble the original's: {advice}"
        limit = f"cosine >= {FAIL_COSINE:g}"
    value = by_cosine.value if by_cosine else None
    undefined = [f"not defined for output {', '.join(map(repr, missing))}"] if missing else []
    figure = ", ".join([*filter(None, [_figures(by_cosine, by_sqnr)]), *undefined])
    figure = figure or f"nothing to measure: no {'other' if _floats(run) else 'floating-point'} output"
    return [ruled("fidelity", level, figure, limit, advice, value, FAIL_COSINE if level == "fail" else WARN_COSINE)]


def _figures(by_cosine: Worst | None, by_sqnr: Worst | None) -> str:
    """Both, and whose they are; said once where that is the same."""
    figures = []
    if by_cosine:
        shared = by_sqnr is not None and _whose(by_sqnr) == _whose(by_cosine)
        figures.append(f"cosine {format_cosine(by_cosine.value)}" + ("" if shared else f" ({_whose(by_cosine)})"))
    if by_sqnr:
        figures.append(f"SQNR {format_db(by_sqnr.value)} ({_whose(by_sqnr)})")
    return ", ".join(figures)


def _default_level(by_cosine: Worst | None, by_sqnr: Worst | None, missing: list[str]) -> Level:
    if _below(by_cosine, FAIL_COSINE):
        return "fail"
    return "warn" if _below(by_cosine, WARN_COSINE) or _below(by_sqnr, WARN_SQNR_DB) or missing else "pass"


def _below(worst: Worst | None, limit: float) -> bool:
    """True for NaN too: what is no number is never good enough."""
    return worst is not None and not worst.value >= limit


def _without(run: Run, figure: Callable[[OutputComparison], float | None]) -> list[str]:
    """The names of outputs that ought to have this figure and do not."""
    return [output.name for output in counting(run) if figure(output) is None]


def _floats(run: Run) -> list[str]:
    return [output.name for output in run.outputs if not is_discrete(output)]


def _why_unmeasured(run: Run | None, remedies: Remedies) -> str:
    if run is None:
        return NOTHING_RUN
    hollow = ", ".join(repr(o.name) for o in run.outputs if nothing_finite(o))
    if hollow:
        return f"output {hollow} is NaN or infinite throughout, nothing finite to compare: {remedies.real_samples}"
    if not _floats(run):
        return f"the model has no floating-point output: {remedies.task_metric}"
    names = ", ".join(map(repr, _without(run, cosine) or _without(run, sqnr_db)))
    if names:
        return f"output {names} is all zero or cannot be compared on these inputs: {remedies.real_samples}"
    return f"no output that changes with the inputs has such a figure on these inputs: {remedies.real_samples}"


def _gentler(ledger: Sequence[LedgerLine], remedies: Remedies) -> str:
    """Names the weight that lost most, ready to paste into a shell."""
    worst = worst_weight(ledger)
    if worst is None or math.isinf(worst.value):
        return remedies.gentler
    selector = shlex.quote(printable(glob.escape(worst.name)))
    lost = format_db(worst.value)
    return f"leave out the weight that lost most ({lost}) with --exclude {selector}, or compress it more gently"
