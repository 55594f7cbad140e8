"""Tells which weights are multiplied by values that are positive on the whole, as behind Relu or hard swish.

Relu, Sigmoid, HardSigmoid, Softmax, Exp, ..., Clip from 0 on    are never negative
x * Sigmoid(x), x * HardSigmoid(x), HardSwish                    are hardly below 0
pooling and what only rearranges values                          keep that
Add, Mul, Max, Concat of such values                             keep it, too
"""

from __future__ import annotations

import onnx_ir as ir

from nncompress.model.constants import float_constant
from nncompress.model.multiplied import data_of
from nncompress.model.node_attributes import float_of, operand, standard_op
from nncompress.model.weights import Weight

_POSITIVE = {
    "Relu", "Sigmoid", "HardSigmoid", "Softmax", "Exp", "Softplus", "Abs", "HardSwish", "Swish", "Mish",
}  # fmt: skip
_KEEPING = {
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Reshape", "Transpose",
    "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Slice", "Resize",
}  # fmt: skip
_JOINING = {"Add", "Mul", "Max", "Concat"}
_GATES = ("Sigmoid", "HardSigmoid", "Clip")
_GATE_STEPS = (*_GATES, "Add", "Div", "Mul")
_MOST_NODES = 12  # in a row, and in the paths of a gate
_MOST_NUMBERS = 4096  # of a constant that is looked at


def fed_one_sign(weight: Weight) -> bool:
    """True if what its main use multiplies it by is positive on the whole, and each sum runs over one channel."""
    use = weight.main_use
    data = data_of(use) if use.direct and use.contraction_axes else None
    return data is not None and _is_positive(data.value, _MOST_NODES)


def _is_positive(value: ir.Value | None, most: int) -> bool:
    node = value.producer() if value is not None else None
    constant = float_constant(value)
    if constant is not None:
        return constant.size <= _MOST_NUMBERS and bool((constant.numpy() >= 0).all())
    if node is None or most == 0:
        return False
    op = standard_op(node)
    if op in _POSITIVE or (op == "Clip" and _clips_below_zero(node)):
        return True
    if op in _KEEPING:
        return _is_positive(operand(node, 0), most - 1)
    if op == "Div":
        return all(_is_positive(part, most - 1) for part in node.inputs)
    if op == "Mul" and _is_gated(node):
        return True
    left = min(most - 1, most // max(1, len(node.inputs)))
    return op in _JOINING and all(_is_positive(part, left) for part in node.inputs)


def _clips_below_zero(node: ir.Node) -> bool:
    least = float_constant(operand(node, 1))
    if least is not None:
        return least.size == 1 and float(least.numpy().reshape(-1)[0]) >= 0
    return operand(node, 1) is None and (float_of(node, "min", -1.0) or 0.0) >= 0


def _is_gated(node: ir.Node) -> bool:
    """True for x * f(x) with f(x) between 0 and a positive number, and larger for larger x."""
    return len(node.inputs) == 2 and any(_comes_from(node.inputs[i], node.inputs[1 - i]) for i in (0, 1))


def _comes_from(gate: ir.Value | None, data: ir.Value | None) -> bool:
    passed = False
    for _ in range(_MOST_NODES):
        if gate is None or gate is data:
            return passed and gate is not None
        node = gate.producer()
        if node is None or standard_op(node) not in _GATE_STEPS:
            return False
        passed |= standard_op(node) in _GATES
        gate = next((part for part in node.inputs if part is not None and float_constant(part) is None), None)
    return False
