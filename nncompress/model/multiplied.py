"""What a weight is multiplied by: which value of the graph, along which of its axes, and which elements of the weight.

    operator         operand  data     axis of the data        elements of the weight
    Conv             1        input 0  1                       [M, C/g, k...]: those of its group along axis 1
    ConvTranspose    1        input 0  1                       [C, M/g, k...]: along axis 0
    Gemm             1 or 0   the other, the one that is summed along the contraction axis
    MatMul           1 or 0   the other, -1 or -2              along the contraction axis
    LSTM GRU RNN     1        input 0  -1                      along axis 2

Positions under the kernel of a convolution are not told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_tensor
from nncompress.model.model import op_name
from nncompress.model.node_attributes import int_of, operand
from nncompress.model.weights import Use, Weight

_RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Data:
    """A value that a weight is multiplied by; a vector has its channels along its only axis."""

    value: ir.Value
    axis: int  # of its channels


def data_of(use: Use) -> Data | None:
    """What the node multiplies the weight by; None where that is no value of the graph, or not known."""
    index, axis = _place(use) if use.op == op_name(use.node) else (None, None)
    value = operand(use.node, index) if index is not None else None
    return None if value is None or axis is None else Data(value, axis)


def spread(numbers: np.ndarray, weight: Weight, use: Use) -> np.ndarray | None:
    """`numbers` [channels of the data] where they meet the weight, broadcasting against it; None if they do not fit."""
    shape, rank = weight.shape, len(weight.shape)
    if use.op in ("Conv", "ConvTranspose"):
        if not use.direct or rank < 2:
            return None
        groups = (int_of(use.node, "group", 1) or 1) if use.op == "Conv" else 1
        inputs = shape[1] * groups if use.op == "Conv" else shape[0]
        if len(numbers) != inputs or shape[0] % groups:
            return None
        if use.op == "ConvTranspose":
            return numbers.reshape(-1, *(1,) * (rank - 1))
        rows = numbers.reshape(groups, shape[1])
        rows = rows if groups == 1 else np.repeat(rows, shape[0] // groups, axis=0)
        return rows.reshape(*rows.shape, *(1,) * (rank - 2))
    if len(use.contraction_axes) != 1 or shape[use.contraction_axes[0]] != len(numbers):
        return None
    return numbers.reshape([-1 if axis == use.contraction_axes[0] else 1 for axis in range(rank)])


def _place(use: Use) -> tuple[int | None, int | None]:
    """Which input the data are, and the axis of their channels."""
    match use.op, use.index:
        case "Conv" | "ConvTranspose", 1:
            return 0, 1
        case "MatMul", 1:
            return 0, -1
        case "MatMul", 0:
            return 1, -2
        case "Gemm", 1:
            turned = int_of(use.node, "transA", 0)
            return 0, None if turned is None else int(not turned)
        case "Gemm", 0:
            turned = int_of(use.node, "transB", 0)
            return 1, None if turned is None else int(bool(turned))
        case op, 1 if op in _RECURRENT:
            return 0, -1
    return None, None


def summed_axes(use: Use) -> tuple[int, ...]:
    """The axes of the weight along which integer kernels of onnxruntime add products up, in the order in which these
    follow each other there (the last axis runs fastest); () where each product is added on its own.

    Matrices are summed row by row. A convolution is channels last, and so is its kernel: [k..., C/g]; where each
    channel is on its own, other code multiplies in 32 bits.
    """
    node = use.node
    if use.op != "Conv":
        return use.contraction_axes
    tensor = constant_tensor(node.inputs[use.index])
    if not use.direct or tensor is None or len(tensor.shape) < 2:
        return ()
    outputs, inputs = (int(d) for d in tensor.shape.numpy()[:2])
    alone = inputs == 1 and int_of(node, "group", 1) == outputs
    return () if alone else (*range(2, len(tensor.shape)), 1)
