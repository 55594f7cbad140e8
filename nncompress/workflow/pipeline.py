"""Compresses a model: normalise, apply passes in order, write what they attached into the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nncompress.errors import UsageError
from nncompress.forms.choice import FormChoice
from nncompress.forms.planned import planned_bytes
from nncompress.forms.store import store
from nncompress.model.freeze import freeze_inputs
from nncompress.model.model import Model
from nncompress.model.normalise import normalise
from nncompress.numerics.blas_threads import one_blas_thread
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.results.record import LedgerLine, Outcome, Rewritten, SizeStep, WeightValues
from nncompress.workflow.ledger import Ledger
from nncompress.workflow.worst_values import worst_values


@dataclass(frozen=True)
class Compressed:
    """The result and the account of every weight. `lines` do not count the graph itself, see ledger.with_graph_line."""

    model: Model
    outcomes: tuple[Outcome, ...]
    lines: tuple[LedgerLine, ...]
    notes: tuple[str, ...]
    steps: tuple[SizeStep, ...] = ()
    worst_values: tuple[WeightValues, ...] = ()

    @property
    def changed(self) -> bool:
        """True if any pass changed any weight."""
        return _any_changed(self.outcomes)


@one_blas_thread()
def compress_graph(
    model: Model,
    passes: Sequence[Pass],
    *,
    form: FormChoice = "folded",
    threads: int = 1,
    freeze: bool = False,
) -> Compressed:
    """Applies `passes` to a copy of `model`. Raises UsageError for an order or options that cannot be meant.

    Where no pass changes anything, the copy is the model as it was. `freeze`: initializers that are also inputs,
    which callers may override, become constants first.
    """
    check_passes(passes)
    result = model.clone()
    frozen = _freeze(result) if freeze else ()
    ledger, context = Ledger(result), Context(threads=threads)
    normalise(result)
    outcomes, steps = _apply(passes, result, context, form)
    if not _any_changed(outcomes):
        return _unchanged(model, outcomes, freeze=freeze)
    worst = worst_values(model, result, outcomes)
    sizes = ledger.sizes_before_store(result)
    stored = store(result, form)
    lines = ledger.close(result, sizes, {key: (one.form, one.size_bytes) for key, one in stored.items()}, outcomes)
    notes = dict.fromkeys(f"{one.weight}: {one.note}" for one in stored.values() if one.note)
    return Compressed(result, tuple(outcomes), lines, (*frozen, *notes), steps, worst)


def _any_changed(outcomes: Sequence[Outcome]) -> bool:
    return any(isinstance(outcome, Rewritten) for outcome in outcomes)


def _unchanged(model: Model, outcomes: list[Outcome], *, freeze: bool) -> Compressed:
    result = model.clone()
    frozen = _freeze(result) if freeze else ()
    ledger = Ledger(result)
    lines = ledger.close(result, ledger.sizes_before_store(result), {}, outcomes)
    return Compressed(result, tuple(outcomes), lines, frozen)


def _apply(
    passes: Sequence[Pass], model: Model, context: Context, form: FormChoice
) -> tuple[list[Outcome], tuple[SizeStep, ...]]:
    """All passes in order; of several, the planned size before each as well."""
    outcomes: list[Outcome] = []
    steps: list[SizeStep] = []
    for done, one in zip(["normalise", *(one.name for one in passes)], passes, strict=False):
        if len(passes) > 1:
            steps.append(SizeStep(done, planned_bytes(model, form)))
        outcomes += one.apply(model, context)
    return outcomes, tuple(steps)


def _freeze(model: Model) -> tuple[str, ...]:
    before = model.ir.ir_version
    count = freeze_inputs(model)
    if not count:
        return ()
    inputs = "1 initializer that was also an input is a constant now" if count == 1 else (
        f"{count} initializers that were also inputs are constants now"
    )  # fmt: skip
    raised = f"; IR version {before} became {model.ir.ir_version}" if model.ir.ir_version != before else ""
    return (f"--freeze-inputs: {inputs}{raised}",)


def check_passes(passes: Sequence[Pass]) -> None:
    """Raises UsageError where an option is impossible or a later pass would undo an earlier one."""
    if not passes:
        raise UsageError("no passes given: name at least one")
    for one in passes:
        problem = one.problem()
        if problem:
            raise UsageError(f"{one.name}: {problem}")
    for earlier, later in pairwise(passes):
        if later.stage < earlier.stage:
            right = sorted(passes, key=lambda one: one.stage)
            order = ", ".join(one.name for one in right)
            raise UsageError(f"{later.name} after {earlier.name} would undo it; the order that works: {order}")
