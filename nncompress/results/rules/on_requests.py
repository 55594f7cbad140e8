"""Rules on what a compression was asked to do: every step did something, the form was used, the opset was enough."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nncompress.results.record import LedgerLine
from nncompress.results.rules.rule import ruled
from nncompress.results.verdict import RuleResult
from nncompress.results.worst import is_rewritten


@dataclass(frozen=True)
class KeptOpset:
    """An opset that is too old for what was asked for, and that the model kept."""

    opset: int
    needed: int
    why: str  # what needs the newer one
    reason: str  # why it was kept

    @property
    def complaint(self) -> str:
        return f"{self.why}, and the model stays at opset {self.opset} ({self.reason})"


@dataclass(frozen=True)
class Requests:
    """What a compression was asked for, as far as something may have come to nothing."""

    form: str | None = None  # None: the default
    idle: tuple[tuple[str, str], ...] = ()  # (step that changed nothing, its most common reason)
    kept_opset: KeptOpset | None = None
    made_up_calibration: bool = False
    chosen: bool = False  # by measurement, within the loss that is allowed
    searched: bool = False  # among many: what was measured has to be more than luck


def request_rules(requests: Requests, ledger: Sequence[LedgerLine]) -> list[RuleResult]:
    """Those that apply: requests that were met are no rules, but for a form, whose share of the weights is said."""
    rules = [_steps_rule(requests), _form_rule(requests, ledger), _opset_rule(requests), _calibration_rule(requests)]
    return [rule for rule in rules if rule is not None]


def _steps_rule(requests: Requests) -> RuleResult | None:
    if not requests.idle:
        return None
    figure = ", ".join(f"{name} changed nothing" for name, _ in requests.idle)
    advice = "; ".join(f"leave {name} out, or see why: {reason}" for name, reason in requests.idle)
    return ruled("steps", "warn", figure, "each changes something", advice)


def _form_rule(requests: Requests, ledger: Sequence[LedgerLine]) -> RuleResult | None:
    """None too where no weight was changed, which a rule of its own says."""
    if requests.form is None:
        return None
    changed = [line for line in ledger if is_rewritten(line)]
    stored = [line for line in changed if requests.form in re.split(r"[ (),]+", line.form)]
    if not changed:
        return None
    figure = f"{len(stored)} of {len(changed)} weights as {requests.form}"
    advice = "the notes say why none can be stored so: leave --form out, or change the pass"
    return ruled("form", "pass" if stored else "warn", figure, ">= 1", advice, len(stored), 1)


def _opset_rule(requests: Requests) -> RuleResult | None:
    kept = requests.kept_opset
    if kept is None:
        return None
    return ruled("opset", "warn", str(kept.opset), f">= {kept.needed}", kept.complaint, kept.opset, kept.needed)


def _calibration_rule(requests: Requests) -> RuleResult | None:
    if not requests.made_up_calibration:
        return None
    advice = "give --calibration PATH, or --data alone: ranges of made-up inputs may cut off what real ones need"
    return ruled("calibration", "warn", "synthetic", "real samples", advice)
