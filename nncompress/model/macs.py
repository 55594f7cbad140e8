"""Counts the multiply-accumulates of one inference, from the shapes that ONNX shape inference finds.

A free first dimension of an input counts as one sample. Any other unknown size, or a counted operator inside a nested
graph or a function, which may run any number of times, makes the count unknown.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from nncompress.model.constants import constant_tensor
from nncompress.model.model import Model, op_name
from nncompress.model.node_attributes import int_of
from nncompress.model.shapes import Shapes


def count_macs(model: Model, shapes: Shapes) -> int | None:
    """Of Conv, ConvTranspose, MatMul, Gemm, LSTM, GRU and RNN, floats or integers, of the main graph; None: unknown."""
    if any(op_name(node) in _MACS for scope in list(model.scopes())[1:] for node in scope):
        return None
    total = 0
    for node in model.ir.graph:
        counter = _MACS.get(op_name(node))
        if counter is None:
            continue
        operands = [_shape_of(value, shapes) for value in (*node.inputs[:3], *node.outputs[:1])]
        count = counter(node, operands)
        if count is None:
            return None
        total += count
    return total


def _shape_of(value: ir.Value | None, shapes: Shapes) -> tuple[int, ...] | None:
    """The whole shape, or None."""
    tensor = constant_tensor(value)
    shape = shapes.get(value.name or "") if tensor is None and value is not None else None
    if tensor is not None:
        shape = tuple(int(d) for d in tensor.shape.numpy())
    known = [d for d in shape or () if d is not None]
    return tuple(known) if shape is not None and len(known) == len(shape) else None


# Each takes the node and the shapes of its first three inputs and its first output.
_Operands = list[tuple[int, ...] | None]


def _conv(node: ir.Node, s: _Operands) -> int | None:
    return math.prod(s[-1]) * math.prod(s[1][1:]) if s[-1] and s[1] else None


def _conv_transpose(node: ir.Node, s: _Operands) -> int | None:
    return math.prod(s[0]) * math.prod(s[1][1:]) if s[0] and s[1] else None


def _matmul(node: ir.Node, s: _Operands) -> int | None:
    return math.prod(s[-1]) * s[0][-1] if s[-1] is not None and s[0] else None


def _gemm(node: ir.Node, s: _Operands) -> int | None:
    if not s[-1] or not s[0] or len(s[0]) != 2:
        return None
    return math.prod(s[-1]) * s[0][0 if int_of(node, "transA", 0) else 1]


def _recurrent(node: ir.Node, s: _Operands) -> int | None:
    """Steps * batch * (input and recurrent matrices); the input is [steps, batch, size]."""
    if not s[0] or not s[1] or len(s) < 4 or not s[2]:
        return None
    return s[0][0] * s[0][1] * (math.prod(s[1]) + math.prod(s[2]))


_MACS = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MatMul": _matmul, "Gemm": _gemm,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent,
    "ConvInteger": _conv, "MatMulInteger": _matmul, "QLinearMatMul": _matmul, "DynamicQuantizeLSTM": _recurrent,
}  # fmt: skip
