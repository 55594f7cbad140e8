"""Values that are computed anew at every inference, and the pair of nodes that rounds one to integers and back.

    x -> QuantizeLinear -> DequantizeLinear -> its readers

It is float graph in, float graph out: runtimes multiply in integers where they find such a pair in front of a node and
behind it.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_tensor
from nncompress.model.edit import Editor, home_of, insert_behind
from nncompress.model.node_attributes import operand, standard_op
from nncompress.numerics.rounding import Rounding

MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "MaxPool", "Identity"}
"""Operators whose result holds values of their first operand alone, which onnxruntime moves as integers."""


def round_value(editor: Editor, value: ir.Value, rounding: Rounding, readers: Collection[ir.Node] | None) -> ir.Value:
    """Puts the pair behind `value`, for the nodes `readers`, or for everything that reads it; returns what they read.

    An output of the graph keeps its name.
    """
    scope = _scope_of(value)
    uses = [use for use in value.uses() if readers is None or use.node in readers]
    draft = editor.draft()
    parameters = [
        draft.constant(np.array(rounding.scale, np.float32), "s"),
        draft.constant(np.array(rounding.zero_point, np.uint8), "z"),
    ]
    codes = draft.node("QuantizeLinear", [value, *parameters])
    rounded = draft.node("DequantizeLinear", [codes, *parameters])
    rounded.type, rounded.shape = value.type, value.shape
    insert_behind(editor.model, scope, draft, value)
    for use in uses:
        use.node.replace_input_with(use.idx, rounded)
    if readers is None and value.is_graph_output():
        _trade_places(value, rounded)
    return rounded


def rounding_of(value: ir.Value | None) -> Rounding | None:
    """How `value` was rounded, if it comes out of such a pair."""
    pair = value.producer() if value is not None else None
    if pair is None or standard_op(pair) != "DequantizeLinear":
        return None
    codes = operand(pair, 0)
    if codes is None or (first := codes.producer()) is None or standard_op(first) != "QuantizeLinear":
        return None
    scale, zero = (constant_tensor(operand(pair, index)) for index in (1, 2))
    if scale is None or zero is None or scale.size != 1 or zero.dtype != ir.DataType.UINT8:
        return None
    return Rounding(float(scale.numpy().reshape(())), int(zero.numpy().reshape(())))


def _scope_of(value: ir.Value) -> ir.Graph | ir.Function:
    producer = value.producer()
    if producer is not None:
        return home_of(producer)
    assert value.graph is not None, "a value of a model is an input, or is computed"
    return value.graph


def _trade_places(value: ir.Value, rounded: ir.Value) -> None:
    """`rounded` becomes the output of the graph in place of `value`, under its name."""
    graph, name = value.graph, value.name
    assert graph is not None, "it is an output of one"
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = rounded
    value.name, rounded.name = rounded.name, name
