"""Form `gather-dequantize`: a table is looked up as codes, and only the rows found are scaled.

    Gather(codes, ids) -> Cast -> (Sub zero_point) -> Mul scale, where scales that differ by row are gathered too

A session holds the table as codes, a quarter of the float one. Least opset 7.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft, insert_before, put_instead
from nncompress.model.model import Model, Scope
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine

LEAST_OPSET = 7


def replace_lookups(model: Model, weight: Weight, draft: Draft, codes: ir.Value, affine: Affine) -> None:
    """Rewires every Gather of the weight to `codes`, then puts `draft` with the shared constants in its place."""
    scale = draft.constant(affine.scale, "s")
    zero = None if affine.zero_point is None else draft.constant(affine.zero_point.astype(np.float32), "z")
    homes = {id(node): scope for scope in model.scopes() for node in scope}
    for use in weight.uses:
        _lookup(model, homes[id(use.node)], use.node, draft, codes, scale, zero, weight.dtype)
    put_instead(model, weight, draft)


def _lookup(
    model: Model, scope: Scope, node: ir.Node, shared: Draft, codes: ir.Value, scale: ir.Value, zero: ir.Value | None,
    dtype: ir.DataType,
) -> None:  # fmt: skip
    axis = node.attributes.get_int("axis", 0)
    nodes = Draft(shared.names)
    ids = node.inputs[1]

    def looked_up(table: ir.Value) -> ir.Value:
        varies = table.shape is None or table.shape[axis] != 1
        return nodes.node("Gather", [table, ids], {"axis": axis}) if varies else table

    value = nodes.node("Cast", [nodes.node("Gather", [codes, ids], {"axis": axis})], {"to": int(ir.DataType.FLOAT)})
    if zero is not None:
        value = nodes.node("Sub", [value, looked_up(zero)])
    value = nodes.node("Mul", [value, looked_up(scale)])
    if dtype != ir.DataType.FLOAT:
        value = nodes.node("Cast", [value], {"to": int(dtype)})
    old = node.outputs[0]
    name = old.name
    insert_before(model, scope, nodes, node)
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    scope.remove(node, safe=True)
    value.name, value.type, value.shape = name, old.type, old.shape
