"""Makes the results that rules return: advice only where something is wrong, and a failure for what nobody measured."""

from __future__ import annotations

from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.results.units import NOT_MEASURED
from nncompress.results.verdict import Level, RuleResult

NOTHING_RUN = "drop --no-validate: nothing was run, so this could not be measured"


@dataclass(frozen=True)
class Remedies:
    """What advice tells to do, spelled with the options of the command, or the keys of the budget, that it is for."""

    real_samples: str
    labels: str
    task_metric: str  # where the outputs have no fidelity
    spare: str  # what to do about weights that suffer too much

    @property
    def gentler(self) -> str:
        return f"compress more gently, or {self.spare}"


_GIVE_LABELS = "give labelled samples with --data"
_NEEDS_LABELS = f"{_GIVE_LABELS}: a task metric needs labels (or --metric recall@10, which does without)"
WHEN_COMPRESSING = Remedies(
    "give real samples with --data",
    _NEEDS_LABELS,
    "demand a task metric instead (--max-drop with labelled --data)",
    "--exclude the weights with the lowest SQNR in the ledger",
)
WHEN_COMPARING = Remedies(
    WHEN_COMPRESSING.real_samples,
    _NEEDS_LABELS,
    WHEN_COMPRESSING.task_metric,
    "leave out the weights that suffer most when compressing (the report of the compression lists them)",
)
IN_BUDGET = Remedies(
    'name real samples in the budget (data = "eval.npz")',
    'name labelled samples in the budget (data = "eval.npz"): a task metric needs labels '
    '(or metric = "recall@10", which does without)',
    'limit a task metric instead (max_drop with labelled data = "eval.npz")',
    WHEN_COMPARING.spare,
)


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
