"""What was decided by measurement: passes that say it for each weight, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nncompress.feeds.feeds import Feeds
from nncompress.passes.base import NOT_MEANT, Pass
from nncompress.results.record import LedgerLine, Outcome, Skipped
from nncompress.workflow.pipeline import Compressed


@dataclass(frozen=True)
class Chosen:
    """Passes that say it for each weight, and why: {name of a pass: {name of a weight: reason}}."""

    passes: tuple[Pass, ...]
    reasons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    proof: Feeds | None = None  # on which the result has to prove itself; None: on all
    made: Compressed | None = None  # what the passes make, if that is known


def with_reasons(compressed: Compressed, chosen: Chosen) -> Compressed:
    """The same where the ledger says of each weight why it is multiplied or stored so."""

    def explained(outcome: Outcome) -> Outcome:
        reason = chosen.reasons.get(outcome.by, {}).get(outcome.subject)
        if reason is None:
            return outcome
        return replace(outcome, reason=reason) if isinstance(outcome, Skipped) else replace(
            outcome, detail=f"{outcome.detail}; {reason}"
        )  # fmt: skip

    def is_of_another(outcome: Outcome, name: str) -> bool:
        """True where one of the passes was not meant for this weight."""
        mine = chosen.reasons.get(outcome.by)
        return isinstance(outcome, Skipped) and mine is not None and name not in mine and outcome.reason in NOT_MEANT

    def all_of(line: LedgerLine) -> tuple[Outcome, ...]:
        said = {outcome.by for outcome in line.outcomes}
        unsaid = (
            Skipped(line.name, by, reasons[line.name])
            for by, reasons in chosen.reasons.items()
            if line.name in reasons and by not in said
        )
        return (*unsaid, *(explained(outcome) for outcome in line.outcomes if not is_of_another(outcome, line.name)))

    lines = (replace(line, outcomes=all_of(line)) for line in compressed.lines)
    return replace(compressed, lines=tuple(lines), outcomes=tuple(map(explained, compressed.outcomes)))
