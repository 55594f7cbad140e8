"""Finds weights that are stored as integer codes and decoded by nodes that a runtime computes at load.

They are no Weights: no pass may touch their parts. But whoever looks into a compressed model wants to see them.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from nncompress.model.constants import FLOATS, constant_tensor
from nncompress.model.model import Model
from nncompress.model.node_attributes import int_of, operand, standard_op
from nncompress.model.roles import operand_roles

_DECODES_LOOKUPS = {"Cast", "DequantizeLinear"}
_MOST_SHARED = 256  # values in a codebook


@dataclass(frozen=True)
class Decoded:
    """One such weight; bytes are those of all the constants that it is made of."""

    value: ir.Value  # that the operators read
    parts: tuple[ir.Value, ...]  # the codes first, then scales, zero points ...
    ops: tuple[str, ...]
    uses: int

    @property
    def codes(self) -> ir.TensorProtocol:
        tensor = constant_tensor(self.parts[0])
        assert tensor is not None, "parts are constants"
        return tensor

    @property
    def size_bytes(self) -> int:
        return sum(tensor.nbytes for part in self.parts if (tensor := constant_tensor(part)) is not None)


def decoded_weights(model: Model) -> list[Decoded]:
    """All of them, in the order in which their first readers stand in the model."""
    readers: dict[int, tuple[ir.Value, tuple[ir.Value, ...], list[ir.Node]]] = {}
    for scope in model.scopes():
        for node in scope:
            for role in operand_roles(node):
                if role.kind == "elementwise":
                    continue
                value = operand(node, role.index)
                parts = _parts(value, is_table=role.kind == "table") if value is not None else ()
                if value is not None and parts:
                    readers.setdefault(id(value), (value, parts, []))[2].append(node)
    return [
        Decoded(value, parts, tuple(sorted({node.op_type for node in nodes})), len(nodes))
        for value, parts, nodes in readers.values()
    ]


def is_codebook(node: ir.Node) -> bool:
    """True for the Gather that looks up the few values of a weight at load, at places that are codes."""
    if standard_op(node) != "Gather":
        return False
    table, places = constant_tensor(operand(node, 0)), operand(node, 1)
    if table is None or table.dtype not in FLOATS or len(table.shape.numpy()) != 1 or table.size > _MOST_SHARED:
        return False
    cast = places.producer() if places is not None else None  # of a sparse weight, places are counted instead
    return cast is not None and standard_op(cast) == "Cast" and bool(_parts(node.outputs[0], is_table=False))


def _parts(read: ir.Value, *, is_table: bool) -> tuple[ir.Value, ...]:
    """The constants behind an operand that is computed from codes alone; () for anything else."""
    if _are_codes(read) and is_table:
        decoded = any(standard_op(use.node) == "Gather" and _is_decoded(use.node) for use in read.uses())
        return (read,) if decoded else ()
    parts: list[ir.Value] = []
    stack, seen, has_floats = [read], {id(read)}, False
    while stack:
        value = stack.pop()
        node = value.producer()
        tensor = constant_tensor(value)
        if tensor is not None:
            parts.append(value)
            has_floats |= tensor.dtype in FLOATS
        elif node is None or value.is_graph_input() or not node.inputs or node.op_type == "QuantizeLinear":
            return ()  # what QuantizeLinear reads are floats still
        else:
            new = [v for v in node.inputs if v is not None and id(v) not in seen]
            seen.update(map(id, new))
            stack += new
            has_floats |= standard_op(node) == "Cast" and int_of(node, "to", 0) in FLOATS
    if not has_floats:
        return ()  # a table of integers in a narrower type
    parts.sort(key=lambda part: (not _are_codes(part), -_nbytes(part)))
    return tuple(parts) if _are_codes(parts[0]) else ()


def _is_decoded(gather: ir.Node) -> bool:
    return any(standard_op(use.node) in _DECODES_LOOKUPS for use in gather.outputs[0].uses())


def _are_codes(value: ir.Value) -> bool:
    tensor = constant_tensor(value)
    if tensor is None or tensor.size <= 1:
        return False
    return tensor.dtype.bitwidth <= 8 and tensor.dtype.name.startswith(("INT", "UINT"))


def _nbytes(value: ir.Value) -> int:
    tensor = constant_tensor(value)
    return tensor.nbytes if tensor is not None else 0
