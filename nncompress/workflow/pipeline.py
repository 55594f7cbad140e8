"""Compresses a model in memory: passes make a float graph with encodings riding on it, then `store` writes forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from nncompress.calibrate.cache import Cache
from nncompress.calibrate.walk import CalibrationRun
from nncompress.errors import UsageError
from nncompress.feeds.feeds import Feeds
from nncompress.forms.choice import constant_bytes
from nncompress.forms.form import DEFAULT_FORM, Storing, Target
from nncompress.forms.store import store
from nncompress.model.absorb import absorb_scales
from nncompress.model.arithmetic import fold_arithmetic
from nncompress.model.constants import find_constants
from nncompress.model.hard_sigmoid import fuse_hard_sigmoids
from nncompress.model.metadata import debugging_bytes, drop_debugging
from nncompress.model.model import Model
from nncompress.model.normalise import Normalised, normalise
from nncompress.numerics.blas_threads import one_blas_thread
from nncompress.onnx_file.write import written_bytes
from nncompress.passes.base import Pass, Stage
from nncompress.passes.context import Context
from nncompress.passes.saturating import MAY_SATURATE
from nncompress.passes.store_lossless import StoreLossless, store_rest
from nncompress.results.account import Account
from nncompress.results.record import Outcome, Rewritten, SizeStep, Skipped
from nncompress.results.units import format_counted
from nncompress.runtime.environment import adds_in_16_bits
from nncompress.workflow.chain_error import chain_errors
from nncompress.workflow.ledger import GRAPH, OTHER_CONSTANTS, Ledger, output_error
from nncompress.workflow.prepare import Prepared, Preparing, prepare, with_constants
from nncompress.workflow.worst_values import worst_values

Remembered = dict[tuple[int, tuple[Pass, ...]], dict[Any, Any]]
"""By the opset and the passes before: see Context.remembered."""

LEAST_DEBUGGING = 0.01  # share of the result from which on what exporters write for debugging is dropped


@dataclass(frozen=True)
class Applied:
    """What passes made of a model: the float graph with what rides on it, and the account of every step."""

    original: Model
    model: Model
    ledger: Ledger
    outcomes: tuple[Outcome, ...]
    steps: tuple[SizeStep, ...]  # of several passes: the planned size before each
    idle: tuple[tuple[str, str], ...] = ()  # of several passes: (one that changed nothing, its most common reason)

    @property
    def changed(self) -> bool:
        """True if any pass changed anything."""
        return _changed(self.outcomes)

    def clone(self) -> Applied:
        """The same in a graph of its own, with what rides on it."""
        return replace(self, model=self.model.clone())


@dataclass(frozen=True, kw_only=True)
class Compressed(Account):
    """The result and the account of every weight."""

    model: Model


def compress_graph(
    model: Model, passes: Sequence[Pass], *, form: str = DEFAULT_FORM, target: Target = "portable", threads: int = 1,
    preparing: Preparing = Preparing(), samples: Feeds | None = None, cache: Cache | None = None,
    keep_metadata: bool = False, draft: bool = False, remembered: Remembered | None = None,
) -> Compressed:  # fmt: skip
    """Applies `passes` to a copy of `model` and stores what they made. Raises UsageError as `apply_passes` does, and
    for a form that the model's opset does not have. `draft`: see Context; `remembered`: of other such calls.

    Where no pass changes anything, the copy is the model as it was.
    """
    check_passes(passes, calibrated=samples is not None)
    prepared = prepare(model, passes, form, preparing)
    storing = Storing(prepared.model.opset, form, target, keep_metadata=keep_metadata)
    context = Context(storing, threads=threads, draft=draft, adds_in_16_bits=adds_in_16_bits())
    applied = apply_passes(prepared.model, passes, context, samples=samples, cache=cache, remembered=remembered)
    if not applied.changed:
        frozen = with_constants(model, preparing) if preparing.freeze_inputs else Prepared(model)
        prepared, applied = replace(frozen, kept_opset=prepared.kept_opset), untouched(frozen.model, applied.outcomes)
    compressed = store_applied(applied, context.storing)
    return replace(compressed, notes=(*prepared.notes, *compressed.notes), kept_opset=prepared.kept_opset)


@one_blas_thread()
def apply_passes(
    model: Model, passes: Sequence[Pass], context: Context, *, samples: Feeds | None = None,
    cache: Cache | None = None, remembered: Remembered | None = None,
) -> Applied:  # fmt: skip
    """Applies `passes` to a copy of `model`. Raises UsageError for an order or options that cannot be meant.

    Where no pass changes anything, the copy is the model as it was, not even normalised. `samples`: for passes that
    need calibration or make use of it; `cache`: what they are like, if that is known.
    """
    check_passes(passes, calibrated=samples is not None)
    copy = model.clone()
    if not all(isinstance(current, StoreLossless) for current in passes):  # which rounds as a runtime need not
        simplify(copy)
    ledger = Ledger(copy)
    normalised = normalise(copy)
    if samples is not None:
        run = CalibrationRun(copy.clone(), samples, context.threads, cache or Cache())
        context = replace(context, calibration=run, moves_biases=any(current.needs.means for current in passes))
    encodes = any(one.stage == Stage.ENCODINGS and not isinstance(one, StoreLossless) for one in passes)
    context = replace(
        context, encodes=encodes,
        spared=lambda weight: next(filter(None, (one.spares(weight) for one in passes)), None),
    )  # fmt: skip
    outcomes: list[Outcome] = [*normalised.rewritten]
    steps: list[SizeStep] = []
    idle: list[tuple[str, str]] = []
    for place, current in enumerate(passes):
        if len(passes) > 1:
            done = passes[place - 1].name if place else "normalise"
            steps.append(SizeStep(done, constant_bytes(copy, context.storing)))
        made = current.apply(copy, replace(context, remembered=found_behind(passes[:place], copy, remembered)))
        outcomes += made
        is_met = normalised.rewritten and current.stage == Stage.ENCODINGS  # by the codes that are there
        if (len(passes) > 1 or normalised.rewritten) and not (is_met or _changed(made)):
            idle.append((current.name, _commonest_reason(made)))
    if any(isinstance(current, StoreLossless) for current in passes):
        outcomes += [*_tidied(copy, normalised), *_without_debugging(copy, context.storing)]
    elif _changed(outcomes):
        outcomes += [*store_rest(copy, context), *_without_debugging(copy, context.storing)]
    applied = Applied(model, copy, ledger, tuple(outcomes), tuple(steps), tuple(idle))
    return applied if applied.changed else untouched(model, applied.outcomes)


def found_behind(passes: Sequence[Pass], model: Model, remembered: Remembered | None) -> dict[Any, Any]:
    """What passes found out there before; to be added to."""
    return {} if remembered is None else remembered.setdefault((model.opset, tuple(passes)), {})


def simplify(model: Model) -> None:
    """Computes what is constant, in place: up to rounding, the model stays what it is."""
    fold_arithmetic(model)
    fuse_hard_sigmoids(model)
    absorb_scales(model)


def untouched(model: Model, outcomes: tuple[Outcome, ...]) -> Applied:
    """What becomes of `model` where no pass changes anything."""
    copy = model.clone()
    return Applied(model, copy, Ledger(copy), outcomes, ())


@one_blas_thread()
def store_applied(applied: Applied, storing: Storing) -> Compressed:
    """Writes what rides on the weights of `applied` into its graph, which is an ordinary model afterwards.

    That uses it up: to store it in several ways, store a `clone` of it each time.
    """
    ledger, model = applied.ledger, applied.model
    sizes, outcomes = ledger.sizes_before_store(model), ledger.by_line(applied.outcomes)
    if not applied.changed:
        lines = ledger.close(model, sizes, {}, outcomes, [None] * len(outcomes))
        return Compressed(model=model, outcomes=applied.outcomes, lines=lines)
    errors = chain_errors(ledger.originals, model, outcomes)
    worst = worst_values(ledger.originals, model, errors, list(map(output_error, outcomes)))
    stored = store(model, storing)
    forms = {key: (choice.name, choice.size_bytes) for key, (_, choice) in stored.items()}
    others = tuple(outcome for outcome in applied.outcomes if outcome.subject == OTHER_CONSTANTS)
    lines = ledger.close(model, sizes, forms, outcomes, errors, others)
    notes = dict.fromkeys(f"{name}: {choice.note}" for name, choice in stored.values() if choice.note)
    said = (*notes, *_of_other_processors(applied.outcomes))
    return Compressed(
        model=model, outcomes=applied.outcomes, lines=lines, notes=said, steps=applied.steps, worst_values=worst,
        idle=applied.idle,
    )  # fmt: skip


def _tidied(model: Model, normalised: Normalised) -> list[Outcome]:
    """What became of constants that no pass is asked about."""
    counts = {"that nothing read dropped": normalised.dropped, "stored once with others": normalised.merged}
    said = [f"{count} constant{'s' * (count > 1)} {what}" for what, count in counts.items() if count]
    said += [f"{sum(model.unread.values()):,} bytes that nothing read dropped"] if model.unread else []
    return [Rewritten(OTHER_CONSTANTS, "normalise", ", ".join(said))] if said else []


def _without_debugging(model: Model, storing: Storing) -> list[Outcome]:
    """Drops what exporters wrote for debugging where it would take more than a share of the result."""
    size = 0 if storing.keep_metadata else debugging_bytes(model)
    planned = constant_bytes(model, storing) if size else 0
    if size <= LEAST_DEBUGGING * planned:
        return []
    graph = written_bytes(model) - sum(tensor.nbytes for _, tensor, _ in find_constants(model))
    if size <= LEAST_DEBUGGING * (planned + graph):
        return []
    drop_debugging(model)
    what = f"{size:,} bytes of what an exporter wrote on nodes and values for debugging dropped"
    return [Rewritten(GRAPH, "normalise", f"{what} (--keep-metadata keeps it)")]


def _changed(outcomes: Sequence[Outcome]) -> bool:
    return any(isinstance(outcome, Rewritten) for outcome in outcomes)


def _commonest_reason(outcomes: Sequence[Outcome]) -> str:
    reasons = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)).most_common(1)
    return reasons[0][0] if reasons else "there is nothing that it is for"


def check_passes(passes: Sequence[Pass], *, calibrated: bool) -> None:
    """Raises UsageError where an option is impossible, data are missing, or a later pass would undo an earlier one."""
    if not passes:
        raise UsageError("no passes given: name at least one")
    for current in passes:
        problem = current.problem()
        if problem:
            raise UsageError(f"{current.name}: {problem}")
        if current.needs and not calibrated:
            raise UsageError(
                f"{current.name} needs --calibration: samples like those that the model will be used on (or --data "
                "alone, of which a part then calibrates)"
            )
    for place, current in enumerate(passes):
        wanted = current.useless_without
        if wanted is not None and wanted not in [later.name for later in passes[place:]]:
            raise UsageError(f"{current.name} alone makes nothing smaller or faster: add {wanted} after it")
    for earlier, later in pairwise(passes):
        if later.stage < earlier.stage:
            order = ", ".join(ordered.name for ordered in sorted(passes, key=lambda ordered: ordered.stage))
            raise UsageError(f"{later.name} after {earlier.name} would undo it; the order that works: {order}")


def _of_other_processors(outcomes: Iterable[Outcome]) -> list[str]:
    """What the report says of products in integers that are right on some processors alone."""
    found = sum(MAY_SATURATE in outcome.detail for outcome in outcomes if isinstance(outcome, Rewritten))
    weights = f"products with {format_counted(found, 'weight')}"
    told = f"x86 processors without VNNI may give other outputs: sums of {weights} may saturate there"
    return [f"{told} (--cpu portable keeps them from it)"] if found else []
