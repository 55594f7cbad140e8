"""Notes on values which weight of the original they came from, and under which names outcomes call them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import find_constants
from nncompress.model.model import Model
from nncompress.model.weights import GIVEN_NAME

_ORIGIN = "nncompress.origin"
_FORM, _THINNED = "nncompress.form", "nncompress.thinned"


@dataclass
class Origin:
    """Rides on a weight, and on what is made of it."""

    line: int
    known_as: str  # what outcomes call it
    same_as: str | None = None  # the weight that took its place, because it holds the same values
    scaled: np.ndarray | None = None  # by what its values were multiplied, which something else makes up for

    def fair(self, original: ir.TensorProtocol) -> ir.TensorProtocol:
        """What its values are to be compared with: those in the original, as scaled."""
        if self.scaled is None:
            return original
        return ir.Tensor((original.numpy() * self.scaled).astype(original.dtype.numpy(), copy=False))


def mark_origin(value: ir.Value, line: int, name: str) -> Origin:
    """Notes that this is the weight of that line of the ledger, called so."""
    value.meta[_ORIGIN] = origin = Origin(line, name)
    return origin


def origin_of(value: ir.Value) -> Origin | None:
    """What was noted; None for what is no weight of the original, nor made of one."""
    origin: Origin | None = value.meta.get(_ORIGIN)
    return origin


def inherit_origin(value: ir.Value, from_: ir.Value) -> None:
    """Counts a new constant on the line of the weight that it was made from."""
    if _ORIGIN in from_.meta:
        value.meta[_ORIGIN] = from_.meta[_ORIGIN]


def note_name(value: ir.Value) -> None:
    """The value has a new name, by which outcomes will call it."""
    if _ORIGIN in value.meta:
        value.meta[_ORIGIN].known_as = value.name


def known_as(value: ir.Value) -> str:
    """What outcomes call it."""
    origin = origin_of(value)
    return origin.known_as if origin is not None else value.name or ""


def note_scaled(value: ir.Value, by: np.ndarray) -> None:
    """Its values were multiplied by `by`, which broadcasts against them, and what it computes is the same."""
    origin = origin_of(value)
    if origin is not None:
        origin.scaled = by if origin.scaled is None else origin.scaled * by


def note_form(value: ir.Value, form: str) -> None:
    """The constant is stored in that form already."""
    value.meta[_FORM] = form


def stored_already(model: Model) -> set[str]:
    """The names of weights of which a form was noted: no pass finds them any more."""
    constants = (value for value, _, _ in find_constants(model) if _FORM in value.meta)
    return {str(value.meta.get(GIVEN_NAME, value.name)) for value in constants}


def form_of(value: ir.Value) -> str:
    """What was noted; otherwise it is stored as it is."""
    return str(value.meta.get(_FORM, "dense"))


def note_duplicate(value: ir.Value, kept: ir.Value) -> None:
    """`kept`, which holds the same values, takes the place of `value`."""
    if _ORIGIN in value.meta:
        value.meta[_ORIGIN].same_as = str(kept.meta.get(GIVEN_NAME, kept.name))


def note_thinned(value: ir.Value) -> None:
    """It has fewer channels than in the original."""
    value.meta[_THINNED] = True


def is_thinned(value: ir.Value) -> bool:
    """True if that was noted: there is nothing that it could be compared with."""
    return _THINNED in value.meta
