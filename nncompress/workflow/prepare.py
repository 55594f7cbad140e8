"""Makes a model ready for its passes: constants that only look like inputs, and an opset that can store what they make.

A model that is older is raised by onnx's version converter, and its outputs are compared before anything is built on
it. Where that cannot be, a form that was asked for is an error; everything else goes on with the old opset, and the
verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nncompress.errors import UsageError
from nncompress.forms.form import DEFAULT_FORM
from nncompress.model.freeze import INITIALIZERS_FROM_IR, freeze_inputs, lists_constants
from nncompress.model.model import Model
from nncompress.model.raised import CannotRaise, raised
from nncompress.passes.base import Pass
from nncompress.results.rules.on_requests import KeptOpset

Check = Callable[[Model], str]
"""Runs a raised model against the original and says on what; raises CannotRaise where their outputs differ."""


@dataclass(frozen=True)
class Preparing:
    """How a model may be prepared."""

    freeze_inputs: bool = False  # initializers that callers may override become constants
    keep_opset: bool = False
    check: Check | None = None  # None: nothing is run


@dataclass(frozen=True)
class Prepared:
    """The model that passes work on, what was done to it, and whether it had to keep an opset that is too old."""

    model: Model
    notes: tuple[str, ...] = ()
    kept_opset: KeptOpset | None = None


def prepare(model: Model, passes: Sequence[Pass], form: str, how: Preparing) -> Prepared:
    """`model` for these passes, which do not change it; a copy where it cannot stay as it is.

    Raises UsageError where `form` needs a newer opset than it can have.
    """
    frozen = with_constants(model, how)
    needed, why = _needed(passes, form)
    if model.opset >= needed:
        return frozen
    try:
        if how.keep_opset:
            raise CannotRaise("--keep-opset")
        newer = raised(frozen.model, needed)
        proof = how.check(newer) if how.check else "not run"
    except CannotRaise as error:
        kept = KeptOpset(model.opset, needed, why, str(error))
        if _needed(passes, DEFAULT_FORM)[0] < needed:
            raise UsageError(f"{kept.complaint}; --form {DEFAULT_FORM} does without") from error
        return replace(frozen, kept_opset=kept)
    return Prepared(newer, (*frozen.notes, f"opset {model.opset} -> {needed}, because {why}: {proof}"))


def with_constants(model: Model, how: Preparing) -> Prepared:
    """A copy whose initializers are no inputs, where that was asked for or where no caller could override them; or the
    model itself."""
    if not how.freeze_inputs and not lists_constants(model):
        return Prepared(model)
    before = model.ir.ir_version
    is_old = before < INITIALIZERS_FROM_IR
    copy = model.clone()
    count = freeze_inputs(copy)
    notes = []
    if count:
        were = "1 initializer that was also an input is a constant" if count == 1 else (
            f"{count} initializers that were also inputs are constants"
        )  # fmt: skip
        notes.append(f"{were}, which no caller could override" if is_old else f"--freeze-inputs: {were} now")
    if is_old:
        notes.append(f"IR version {before} became {copy.ir.ir_version}")
    return Prepared(copy, ("; ".join(notes),) if notes else ())


def _needed(passes: Sequence[Pass], form: str) -> tuple[int, str]:
    """The opset that the most demanding pass needs; and why."""
    return max((step.needed_opset(form) for step in passes), key=lambda need: need[0])
