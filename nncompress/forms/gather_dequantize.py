"""Form `gather-dequantize`: a table is looked up as codes, and only the rows found are scaled.

    Gather(codes, ids) -> Cast -> (Sub zero_point) -> Mul scale (-> Mul input_scale)

Scales that differ by row are gathered too.

A session holds the table as codes, a quarter of the float one. Least opset 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft, home_of, insert_before, put_instead
from nncompress.model.model import Model, Scope
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine

LEAST_OPSET = 7


def obstacle(weight: Weight, affine: Affine) -> str | None:
    """Why lookups in this weight cannot be rewired; None if they can."""
    if not weight.only_gathered:
        return "it is not only looked up"
    axis = weight.uses[0].channel_axes[0]
    if any(d > 1 for d in affine.scale.shape[:axis]):
        return "its scales differ along an axis before the one that is looked up"
    if affine.input_scale is not None and any(d > 1 for d in affine.input_scale.shape[: axis + 1]):
        return "its second scale does not lie behind the axis that is looked up"
    return None


def replace_lookups(model: Model, weight: Weight, draft: Draft, codes: ir.Value, affine: Affine) -> None:
    """Rewires every Gather of the weight to `codes`, then puts `draft` with the shared constants in its place."""
    axis = weight.uses[0].channel_axes[0]
    zero = None if affine.zero_point is None else _constant(draft, affine.zero_point.astype(np.float32), axis, "z")
    scale = _constant(draft, affine.scale, axis, "s")
    second = None if affine.input_scale is None else _constant(draft, affine.input_scale, axis, "s")
    for use in weight.uses:
        operands = _Operands(codes, zero, scale, second, axis, weight.dtype)
        _lookup(model, home_of(use.node), use.node, Draft(draft.names), operands)
    put_instead(model, weight, draft)


@dataclass(frozen=True)
class _Operands:
    """What a lookup reads: constants as `_constant` lays them out."""

    codes: ir.Value
    zero: ir.Value | None
    scale: ir.Value
    second: ir.Value | None
    axis: int
    dtype: ir.DataType


def _constant(draft: Draft, array: np.ndarray, axis: int, prefix: str) -> ir.Value:
    """As it is where it differs along the axis that is looked up; otherwise only the axes behind that one."""
    return draft.constant(array if array.shape[axis] > 1 else array.reshape(array.shape[axis + 1 :]), prefix)


def _lookup(model: Model, scope: Scope, node: ir.Node, draft: Draft, operands: _Operands) -> None:
    ids, rank = node.inputs[1], len(operands.codes.shape or ())

    def looked_up(table: ir.Value) -> ir.Value:
        whole = len(table.shape or ()) == rank
        return draft.node("Gather", [table, ids], {"axis": operands.axis}) if whole else table

    value = draft.node("Cast", [looked_up(operands.codes)], {"to": int(ir.DataType.FLOAT)})
    if operands.zero is not None:
        value = draft.node("Sub", [value, looked_up(operands.zero)])
    for factor in (operands.scale, operands.second):
        value = draft.node("Mul", [value, looked_up(factor)]) if factor is not None else value
    if operands.dtype != ir.DataType.FLOAT:
        value = draft.node("Cast", [value], {"to": int(operands.dtype)})
    old = node.outputs[0]
    name = old.name
    insert_before(model, scope, draft, node)
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    scope.remove(node, safe=True)
    value.name, value.type, value.shape = name, old.type, old.shape
