"""The largest constants that are no weights, who reads them, and why no pass takes them for one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import onnx_ir as ir

from nncompress.model.constants import FLOATS, find_constants, stored_bytes
from nncompress.model.model import Model, op_name
from nncompress.model.roles import operand_roles
from nncompress.model.weights import LEAST_ELEMENTWISE, Weight

LEAST_BYTES = 1024  # of one that is worth its line
_MOST = 3


@dataclass(frozen=True)
class OtherConstant:
    """One of them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    readers: tuple[str, ...]  # operators, the most frequent first
    reason: str


def largest_others(model: Model, weights: list[Weight]) -> tuple[OtherConstant, ...]:
    """A few of them, those of most bytes first."""
    known = {id(weight.value) for weight in weights}
    others = [
        (stored_bytes(value, tensor), value, tensor)
        for value, tensor, _ in find_constants(model)
        if id(value) not in known and stored_bytes(value, tensor) >= LEAST_BYTES
    ]
    others.sort(key=lambda other: (-other[0], other[1].name or ""))
    return tuple(_described(size, value, tensor) for size, value, tensor in others[:_MOST])


def _described(size: int, value: ir.Value, tensor: ir.TensorProtocol) -> OtherConstant:
    readers = tuple(op for op, _ in Counter(op_name(use.node) for use in value.uses()).most_common())
    shape = tuple(int(d) for d in tensor.shape.numpy())
    return OtherConstant(value.name or "", tensor.dtype.name.lower(), shape, size, readers, _reason(value, tensor))


def _reason(value: ir.Value, tensor: ir.TensorProtocol) -> str:
    if not value.uses():
        return "nothing reads it"
    if tensor.dtype not in FLOATS:
        return "its values are no floats"
    roles = [role for use in value.uses() for role in operand_roles(use.node) if role.index == use.idx]
    if roles and all(role.kind == "elementwise" for role in roles):
        return f"used as it is, and fewer than {LEAST_ELEMENTWISE} elements or only with other constants"
    return "no operator that reads it sums over it or looks it up"
