"""Form `integer`: activations become 8-bit integers at every inference, and the product is one of integers.

    DynamicQuantizeLinear(x) -> MatMulInteger(codes) -> Cast -> Mul (scale of x times scale of the weight) (-> Add bias)

All readers of one tensor share one DynamicQuantizeLinear. onnxruntime fuses the rest. The scale of x is that of all its
samples together: what is in a batch changes the result a little. On x86 processors without VNNI, sums of two products
saturate in 16 bits. LSTM needs an operator of onnxruntime (see integer_lstm.py). Opset 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from nncompress.forms import integer_lstm
from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload, integers, integers_bytes
from nncompress.model.edit import Editor, home_of, insert_before, insert_behind, move_behind, put_instead
from nncompress.model.node_attributes import float_of, int_of, operand, standard_op
from nncompress.model.weights import Use, Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Moved

_READER_BYTES = 350  # nodes, names and headers of one reader; measured, rounded up
_QUANTIZE = "DynamicQuantizeLinear"
_LONGEST_SUM = (2**31 - 1) // (255 * 127)  # products that an int32 holds


class Integer:
    """See the module."""

    name: ClassVar[str] = "integer"
    holds: ClassVar[type] = Affine
    on_request: ClassVar[bool] = True
    least_opset: ClassVar[int] = 11
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = False

    def obstacle(self, weight: Weight, affine: Affine, storing: Storing) -> str | None:
        reason = unsuitable(weight, storing)
        if reason is not None:
            return reason
        if integer_lstm.is_of_lstm(weight):
            return integer_lstm.obstacle(weight, affine)
        columns = 0 if _is_turned(weight.uses[0].node) else 1
        plain = affine.codes_shape == weight.shape and affine.zero_point is None and affine.input_scale is None
        if not plain or affine.scale.shape[1 - columns] > 1:
            return "its scales do not differ by column alone"
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """In the order in which MatMulInteger reads them."""
        if integer_lstm.is_of_lstm(weight):
            return integer_lstm.payload(weight, affine)
        codes, shape = affine.codes, weight.shape
        if _is_turned(weight.uses[0].node):
            codes, shape = Moved(codes, shape, (1, 0)), (shape[1], shape[0])
        return Payload.of_products(affine, codes, shape)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout, opset: int) -> int:
        if integer_lstm.is_of_lstm(weight):
            return layout.size_bytes + integers_bytes(layout) + integer_lstm.parameter_bytes(weight, affine)
        return layout.size_bytes + integers_bytes(layout) + affine.scale.nbytes

    def node_bytes(self, affine: Affine, opset: int) -> int:
        return _READER_BYTES

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        """Rewires every reader; they share the constants, which come in place of the weight."""
        if integer_lstm.is_of_lstm(weight):
            integer_lstm.write(editor, weight, affine, layout)
            return
        draft = editor.draft()
        codes, scale = integers(draft, layout, affine.code_type), draft.constant(affine.scale.reshape(-1), "s")
        for use in weight.uses:
            _multiply(editor, use.node, codes, scale)
        put_instead(editor.model, weight, draft)


def unsuitable(weight: Weight, storing: Storing) -> str | None:
    """Why it cannot be an integer operand, however it is encoded."""
    if weight.dtype != ir.DataType.FLOAT:
        return "DynamicQuantizeLinear takes float32 alone"
    if integer_lstm.is_of_lstm(weight):
        return integer_lstm.unsuitable(weight, storing)
    if len(weight.shape) != 2:
        return "it is no matrix that MatMul or Gemm multiplies"
    if len(weight.value.uses()) != len(weight.uses) or not all(map(is_plain_product, weight.uses)):
        return "it is not only the right operand of MatMul and plain Gemm"
    turned = {_is_turned(use.node) for use in weight.uses}
    if len(turned) > 1:
        return "it is read transposed and as it is"
    if weight.shape[1 if turned == {True} else 0] > _LONGEST_SUM:
        return f"sums of more than {_LONGEST_SUM:,} products may not fit 32 bits"
    return None


@dataclass(frozen=True)
class _Activation:
    codes: ir.Value
    scale: ir.Value
    zero_point: ir.Value


def is_plain_product(use: Use) -> bool:
    """True for MatMul with the weight on the right, and Gemm without factors and a transposed left side."""
    node = use.node
    if not use.direct or use.index != 1 or operand(node, 0) is None:
        return False
    if standard_op(node) == "MatMul":
        return True
    factors = (float_of(node, "alpha", 1.0), float_of(node, "beta", 1.0), int_of(node, "transA", 0))
    return standard_op(node) == "Gemm" and factors == (1.0, 1.0, 0)


def _is_turned(node: ir.Node) -> bool:
    return standard_op(node) == "Gemm" and int_of(node, "transB", 0) == 1


def _multiply(editor: Editor, node: ir.Node, codes: ir.Value, scale: ir.Value) -> None:
    """The product in integers in the place of `node`."""
    data, bias, result = node.inputs[0], operand(node, 2), node.outputs[0]
    assert data is not None, "an obstacle otherwise"
    activation, draft = _quantized(editor, data, node), editor.draft()
    product = draft.node("MatMulInteger", [activation.codes, codes, activation.zero_point])
    factor = draft.node("Mul", [activation.scale, scale])
    value = draft.node("Mul", [draft.node("Cast", [product], {"to": int(ir.DataType.FLOAT)}), factor])
    if bias is not None:
        value = draft.node("Add", [value, bias])
    value.type, value.shape, name = result.type, result.shape, result.name
    result.replace_all_uses_with(value, replace_graph_outputs=True)
    insert_before(editor.model, home_of(node), draft, node)
    home_of(node).remove(node, safe=True)
    value.name = name


def _quantized(editor: Editor, data: ir.Value, reader: ir.Node) -> _Activation:
    """`data` as integers, made once for all readers of a graph."""
    scope = home_of(reader)
    for use in data.uses():
        if standard_op(use.node) == _QUANTIZE and use.node.graph is scope:
            move_behind(scope, use.node, data)
            return _Activation(*use.node.outputs)
    draft = editor.draft()
    outputs = draft.outputs(_QUANTIZE, [data], 3)
    insert_behind(editor.model, scope, draft, data)
    return _Activation(*outputs)
