"""What was decided by measurement: passes that say it for each weight, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nncompress.feeds.feeds import Feeds
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.results.record import LedgerLine, Outcome, Skipped
from nncompress.workflow.pipeline import Compressed


@dataclass(frozen=True)
class Chosen:
    """Passes that say it for each weight, and why: {name of a weight: reason}."""

    passes: tuple[Pass, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    by: str = QuantizeActivations.name  # the pass that the reasons are about
    proof: Feeds | None = None  # on which the result has to prove itself; None: on all
    made: Compressed | None = None  # what the passes make, if that is known


def with_reasons(compressed: Compressed, chosen: Chosen) -> Compressed:
    """The same where the ledger says of each weight why it is multiplied or stored so."""
    reasons = chosen.reasons

    def explained(outcome: Outcome) -> Outcome:
        reason = reasons.get(outcome.subject) if outcome.by == chosen.by else None
        if reason is None:
            return outcome
        return replace(outcome, reason=reason) if isinstance(outcome, Skipped) else replace(
            outcome, detail=f"{outcome.detail}; {reason}"
        )  # fmt: skip

    def all_of(line: LedgerLine) -> tuple[Outcome, ...]:
        outcomes = tuple(map(explained, line.outcomes))
        if line.name not in reasons or any(outcome.by == chosen.by for outcome in outcomes):
            return outcomes
        return (Skipped(line.name, chosen.by, reasons[line.name]), *outcomes)

    lines = (replace(line, outcomes=all_of(line)) for line in compressed.lines)
    return replace(compressed, lines=tuple(lines), outcomes=tuple(map(explained, compressed.outcomes)))
