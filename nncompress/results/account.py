"""What was done to every weight of one compression, and what became of its bytes; kept beside a model as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import InputError
from nncompress.results.record import LedgerLine, Outcome, Rewritten, SizeStep
from nncompress.results.rules.on_requests import KeptOpset
from nncompress.results.weight_values import WeightValues


@dataclass(frozen=True, kw_only=True)
class Account:
    """`lines` do not count the graph itself, see workflow's ledger.with_graph_line."""

    outcomes: tuple[Outcome, ...]
    lines: tuple[LedgerLine, ...]
    notes: tuple[str, ...] = ()
    steps: tuple[SizeStep, ...] = ()  # of several passes: the planned size before each
    worst_values: tuple[WeightValues, ...] = ()
    idle: tuple[tuple[str, str], ...] = ()  # of several passes: (one that changed nothing, its most common reason)
    kept_opset: KeptOpset | None = None

    @property
    def changed(self) -> bool:
        """True if any pass changed anything."""
        return any(isinstance(outcome, Rewritten) for outcome in self.outcomes)


@dataclass(frozen=True)
class Kept:
    """An account, and the SHA-256 of the files of the model that it is of."""

    account: Account
    sha256: tuple[str, ...]


_KEPT: TypeAdapter[Kept] = TypeAdapter(Kept)


def kept_json(kept: Kept) -> str:
    """What read_kept reads."""
    return json.dumps(asdict(kept)) + "\n"


def read_kept(text: str) -> Kept:
    """Raises InputError for anything that kept_json did not write."""
    try:
        return _KEPT.validate_python(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError("the account of a model is damaged") from error
