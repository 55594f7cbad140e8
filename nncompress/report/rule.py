"""Makes the results that rules return: advice only where something is wrong, and a failure for what nobody measured."""

from __future__ import annotations

from nncompress.errors import printable
from nncompress.report.record import Level, RuleResult
from nncompress.report.units import NOT_MEASURED

NOTHING_RUN = "drop --no-validate: nothing was run, so this could not be measured"


def ruled(
    rule: str,
    level: Level,
    figure: str,
    limit: str,
    advice: str,
    value: float | None = None,
    limit_value: float | None = None,
) -> RuleResult:
    """A result whose texts are safe to print; `advice` is dropped when the level is pass."""
    shown = "" if level == "pass" else printable(advice)
    return RuleResult(rule, level, printable(figure), printable(limit), shown, _number(value), _number(limit_value))


def unmeasured(rule: str, limit: str, limit_value: float, advice: str) -> RuleResult:
    """A limit of the user that nothing was measured for fails."""
    return ruled(rule, "fail", NOT_MEASURED, limit, advice, None, limit_value)


def _number(value: float | None) -> float | None:
    """Counts and bytes become floats, as they come back from JSON."""
    return None if value is None else float(value)
