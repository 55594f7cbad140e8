"""The part of form `integer` that is about LSTM: DynamicQuantizeLSTM of onnxruntime takes both matrices as integers.

W [directions, 4 hidden, inputs] and R [directions, 4 hidden, hidden] are written one after the other: the node is
replaced when both are there.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nncompress.forms.form import Storing
from nncompress.forms.layouts import Layout, Payload, integers
from nncompress.model.edit import Editor, home_of, insert_before, put_instead, root_of
from nncompress.model.encoding import riding_on
from nncompress.model.node_attributes import int_of, operand, standard_op
from nncompress.model.readers import is_read_once
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Moved

_DOMAIN, _OP = "com.microsoft", "DynamicQuantizeLSTM"
_MATRICES = (1, 2)
_PEEPHOLES, _OPERANDS = 7, 8
_ALIKE = ("direction", "hidden_size", "input_forget", "clip")
_CODES = "nncompress.codes"  # {operand: (scale, zero point)} of the matrices that are codes already


def is_of_lstm(weight: Weight) -> bool:
    """True for a matrix that one LSTM alone reads."""
    uses = weight.uses
    alone = len(uses) == 1 and len(weight.value.uses()) == 1
    return alone and uses[0].direct and standard_op(uses[0].node) == "LSTM" and uses[0].index in _MATRICES


def unsuitable(weight: Weight, storing: Storing) -> str | None:
    """Why it cannot be an integer operand, however it is encoded."""
    node = weight.uses[0].node
    if storing.target != "ort":
        return f"{_OP} is an operator of onnxruntime alone: --target ort allows it"
    if operand(node, _PEEPHOLES) is not None or int_of(node, "layout", 0) != 0 or "activations" in node.attributes:
        return f"{_OP} has no peepholes, layouts and activations of its own"
    return None


def may_be_integer(weight: Weight, storing: Storing) -> bool:
    """True for a matrix that can be one where the other matrix becomes one as well."""
    return is_of_lstm(weight) and unsuitable(weight, storing) is None


def obstacle(weight: Weight, affine: Affine) -> str | None:
    """Why it cannot be one as it is encoded."""
    node, index = weight.uses[0].node, weight.uses[0].index
    if not _fits(affine, weight.shape):
        return "its scales do not differ by gate and direction alone"
    other = operand(node, sum(_MATRICES) - index)
    if _CODES not in node.meta and not (other is not None and _may_ride(other)):
        return f"{_OP} takes both matrices as integers, and the other one is none"
    return None


def payload(weight: Weight, affine: Affine) -> Payload:
    """The codes [directions, inputs, 4 hidden]."""
    directions, gates, inputs = weight.shape
    moved = Moved(affine.codes, weight.shape, (0, 2, 1))
    return Payload.of_products(affine, moved, (directions, inputs, gates))


def parameter_bytes(weight: Weight, affine: Affine) -> int:
    """Of scales and zero points."""
    return (4 + affine.code_type.itemsize) * weight.shape[0] * weight.shape[1]


def write(editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
    """The codes in place of the matrix; with the second one comes the node."""
    node, index, draft = weight.uses[0].node, weight.uses[0].index, editor.draft()
    rows = (weight.shape[0], weight.shape[1])
    scale = np.broadcast_to(affine.scale.reshape(affine.scale.shape[:2]), rows)
    codes = integers(draft, layout, affine.code_type)
    parameters = (
        draft.constant(np.ascontiguousarray(scale), "s"), draft.constant(np.zeros(rows, affine.code_type), "z"),
    )  # fmt: skip
    node.replace_input_with(index, codes)
    put_instead(editor.model, weight, draft)
    both = node.meta.setdefault(_CODES, {})
    both[index] = parameters
    if len(both) == len(_MATRICES):
        _replace(editor, node, [value for place in _MATRICES for value in both[place]])


def _fits(affine: Affine, shape: tuple[int, ...]) -> bool:
    plain = affine.zero_point is None and affine.input_scale is None and affine.codes_shape == shape
    return plain and len(shape) == 3 and affine.scale.shape[-1] == 1


def _may_ride(value: ir.Value) -> bool:
    encoded = riding_on(value)
    return is_read_once(value) and isinstance(encoded, Affine) and _fits(encoded, encoded.shape)


def _replace(editor: Editor, node: ir.Node, parameters: list[ir.Value]) -> None:
    inputs = [*node.inputs, *[None] * (_OPERANDS - len(node.inputs)), *parameters]
    attributes = [node.attributes[name] for name in _ALIKE if name in node.attributes]
    new = ir.Node(_DOMAIN, _OP, inputs, attributes, num_outputs=len(node.outputs))
    scope = home_of(node)
    names = [output.name for output in node.outputs]
    for old, fresh in zip(node.outputs, new.outputs, strict=True):
        fresh.type, fresh.shape = old.type, old.shape
        old.replace_all_uses_with(fresh, replace_graph_outputs=True)
    draft = editor.draft()
    draft.nodes.append(new)
    insert_before(editor.model, scope, draft, node)
    scope.remove(node, safe=True)
    for fresh, name in zip(new.outputs, names, strict=True):
        fresh.name = name
    root_of(editor.model, scope).opset_imports.setdefault(_DOMAIN, 1)
