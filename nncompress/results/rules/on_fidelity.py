"""Rules on how close the outputs stay, judged on the worst output as deployed, naming the weight to look at first.

Without limits one rule, `fidelity`: warn below cosine 0.99 or SQNR 20 dB, fail below cosine 0.5, where the outputs no
longer resemble the original's. With limits, the rules `cosine` and `sqnr` take its place.
"""

from __future__ import annotations

import glob
import math
import shlex
from collections.abc import Sequence

from nncompress.errors import printable
from nncompress.results.record import LedgerLine, Level, RuleResult, Run
from nncompress.results.rules.rule import NOTHING_RUN, WHEN_COMPRESSING, Remedies, ruled, unmeasured
from nncompress.results.units import format_cosine, format_db
from nncompress.results.worst import (
    Worst,
    cosine,
    is_discrete,
    nothing_finite,
    sqnr_db,
    worst_cosine,
    worst_sqnr_db,
    worst_weight,
)

WARN_COSINE = 0.99
WARN_SQNR_DB = 20.0
FAIL_COSINE = 0.5


def fidelity_rules(
    run: Run | None, min_cosine: float | None, min_sqnr: float | None, ledger: Sequence[LedgerLine],
    remedies: Remedies = WHEN_COMPRESSING,
) -> list[RuleResult]:  # fmt: skip
    """The default rule, or those that the user's limits put in its place."""
    rules = []
    if min_cosine is not None:
        rules.append(_cosine_rule(run, min_cosine, ledger, remedies))
    if min_sqnr is not None:
        rules.append(_sqnr_rule(run, min_sqnr, ledger, remedies))
    if not rules and run is not None:
        rules.append(_default_rule(run, ledger, remedies))
    return rules


def _cosine_rule(run: Run | None, limit: float, ledger: Sequence[LedgerLine], remedies: Remedies) -> RuleResult:
    worst = worst_cosine(run) if run else None
    if run is None or worst is None or _without_cosine(run):
        return unmeasured("cosine", f">= {limit:.10g}", limit, _why_unmeasured(run, remedies))
    level: Level = "pass" if worst.value >= limit else "fail"
    figure = f"{format_cosine(worst.value)} (output {worst.name!r})"
    return ruled("cosine", level, figure, f">= {limit:.10g}", _gentler(ledger, remedies), worst.value, limit)


def _sqnr_rule(run: Run | None, limit: float, ledger: Sequence[LedgerLine], remedies: Remedies) -> RuleResult:
    worst = worst_sqnr_db(run) if run else None
    if run is None or worst is None or _without_sqnr(run):
        return unmeasured("sqnr", f">= {limit:.10g} dB", limit, _why_unmeasured(run, remedies))
    level: Level = "pass" if worst.value >= limit else "fail"
    figure = f"{format_db(worst.value)} (output {worst.name!r})"
    return ruled("sqnr", level, figure, f">= {limit:.10g} dB", _gentler(ledger, remedies), worst.value, limit)


def _default_rule(run: Run, ledger: Sequence[LedgerLine], remedies: Remedies) -> RuleResult:
    by_cosine, by_sqnr, missing = worst_cosine(run), worst_sqnr_db(run), _without_cosine(run)
    level = _default_level(by_cosine, by_sqnr, missing)
    limit = f"cosine >= {WARN_COSINE:g}, SQNR >= {WARN_SQNR_DB:g} dB"
    poor = _below(by_cosine, WARN_COSINE) or _below(by_sqnr, WARN_SQNR_DB)
    advice = _gentler(ledger, remedies) if poor else _why_unmeasured(run, remedies)
    if level == "fail":
        advice = f"the outputs no longer resemble the original's: {advice}"
        limit = f"cosine >= {FAIL_COSINE:g}"
    value = by_cosine.value if by_cosine else None
    figure = _default_figure(by_cosine, by_sqnr, missing)
    return ruled("fidelity", level, figure, limit, advice, value, FAIL_COSINE if level == "fail" else WARN_COSINE)


def _default_figure(by_cosine: Worst | None, by_sqnr: Worst | None, missing: list[str]) -> str:
    figures = []
    if by_cosine:
        shared = by_sqnr is not None and by_sqnr.name == by_cosine.name
        figures.append(f"cosine {format_cosine(by_cosine.value)}" + ("" if shared else f" (output {by_cosine.name!r})"))
    if by_sqnr:
        figures.append(f"SQNR {format_db(by_sqnr.value)} (output {by_sqnr.name!r})")
    if missing:
        figures.append(f"not defined for output {', '.join(map(repr, missing))}")
    return ", ".join(figures) or "nothing to measure: no floating-point output"


def _default_level(by_cosine: Worst | None, by_sqnr: Worst | None, missing: list[str]) -> Level:
    if _below(by_cosine, FAIL_COSINE):
        return "fail"
    return "warn" if _below(by_cosine, WARN_COSINE) or _below(by_sqnr, WARN_SQNR_DB) or missing else "pass"


def _below(worst: Worst | None, limit: float) -> bool:
    """True for NaN too: what is no number is never good enough."""
    return worst is not None and not worst.value >= limit


def _without_cosine(run: Run) -> list[str]:
    return [o.name for o in run.outputs if not is_discrete(o) and cosine(o) is None]


def _without_sqnr(run: Run) -> list[str]:
    return [o.name for o in run.outputs if not is_discrete(o) and sqnr_db(o) is None]


def _why_unmeasured(run: Run | None, remedies: Remedies) -> str:
    if run is None:
        return NOTHING_RUN
    hollow = ", ".join(repr(o.name) for o in run.outputs if nothing_finite(o))
    if hollow:
        return f"output {hollow} is NaN or infinite throughout, nothing finite to compare: {remedies.real_samples}"
    names = ", ".join(map(repr, _without_cosine(run) or _without_sqnr(run)))
    if not names:
        return f"the model has no floating-point output: {remedies.task_metric}"
    return f"output {names} is all zero or cannot be compared on these inputs: {remedies.real_samples}"


def _gentler(ledger: Sequence[LedgerLine], remedies: Remedies) -> str:
    """Names the weight that lost most, ready to paste into a shell."""
    worst = worst_weight(ledger)
    if worst is None or math.isinf(worst.value):
        return remedies.gentler
    selector = shlex.quote(printable(glob.escape(worst.name)))
    lost = format_db(worst.value)
    return f"leave out the weight that lost most ({lost}) with --exclude {selector}, or compress it more gently"
