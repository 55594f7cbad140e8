"""Which operand of which operator is a weight, and what its axes mean there.

`operand_roles` is the one table of this knowledge. Axes are those of the operand as the node reads it:

    op             operand  shape            channel axes      contraction axes
    Conv           1        [M, C/g, k...]   0                 1, 2, ...
    ConvTranspose  1        [C, M/g, k...]   1 (0, 1 if depthwise)   0, 2, ...
    MatMul         1        [..., K, N]      all but K         K
    MatMul         0        [..., M, K]      all but K         K
    Gemm           1        [K, N]           1 (0 with transB) the other one
    Gemm           0        [M, K]           0 (1 with transA) the other one
    Gather         0        table            the gathered one  none
    LSTM GRU RNN   1, 2     [D, gates*H, I]  0, 1              2
    Einsum         any      letters          those kept alone  those summed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from nncompress.model.node_attributes import int_of, operand, text_of

Kind = Literal["linear", "table", "recurrent"]


@dataclass(frozen=True)
class Role:
    """One operand that is read as a weight. Negative axes count from the end, as the rank is not known here."""

    index: int
    kind: Kind
    channel: tuple[int, ...] | Literal["rest"]  # "rest": every axis that is not contracted
    contraction: tuple[int, ...] | Literal["rest"]  # "rest": every axis that is no channel


def operand_roles(node: ir.Node) -> tuple[Role, ...]:
    """The weight operands of `node`; () for operators without any."""
    match node.domain, node.op_type:
        case ("", "Conv") | ("com.microsoft", "FusedConv"):
            return (Role(1, "linear", (0,), "rest"),)
        case "", "ConvTranspose":
            return (Role(1, "linear", (0, 1) if _depthwise(node) else (1,), "rest"),)
        case "", "MatMul":
            return (Role(1, "linear", "rest", (-2,)), Role(0, "linear", "rest", (-1,)))
        case ("", "Gemm") | ("com.microsoft", "FusedMatMul" | "FusedGemm"):
            return _transposable_roles(node)
        case "com.microsoft", "Attention":
            return (Role(1, "linear", (1,), "rest"),)
        case "", "Gather":
            axis = int_of(node, "axis", 0)
            return () if axis is None else (Role(0, "table", (axis,), ()),)
        case "", "LSTM" | "GRU" | "RNN":
            return (Role(1, "recurrent", (0, 1), (2,)), Role(2, "recurrent", (0, 1), (2,)))
        case "", "Einsum":
            return _einsum_roles(node)
    return ()


def _transposable_roles(node: ir.Node) -> tuple[Role, ...]:
    turned_left, turned_right = int_of(node, "transA", 0), int_of(node, "transB", 0)
    if turned_left is None or turned_right is None:
        return ()
    if node.op_type == "FusedMatMul":
        left, right = -2 if turned_left else -1, -1 if turned_right else -2
        return (Role(1, "linear", "rest", (right,)), Role(0, "linear", "rest", (left,)))
    left, right = 1 if turned_left else 0, 0 if turned_right else 1
    return (Role(1, "linear", (right,), "rest"), Role(0, "linear", (left,), "rest"))


def _depthwise(node: ir.Node) -> bool:
    weight = operand(node, 1)
    shape = weight.shape if weight is not None else None
    group = int_of(node, "group", 1)
    return shape is not None and len(shape) > 1 and group is not None and group > 1 and shape[0] == group


def _einsum_roles(node: ir.Node) -> tuple[Role, ...]:
    """Contractions of two operands without repeated letters or "..."."""
    equation = (text_of(node, "equation") or "").replace(" ", "")
    if equation.count("->") != 1 or "." in equation:
        return ()
    left, output = equation.split("->")
    operands = left.split(",")
    if len(operands) != 2 or any(len(set(letters)) < len(letters) for letters in (*operands, output)):
        return ()
    roles = []
    for index in (1, 0):
        own, other = operands[index], operands[1 - index]
        summed = tuple(axis for axis, letter in enumerate(own) if letter in other and letter not in output)
        if summed:
            roles.append(Role(index, "linear", "rest", summed))
    return tuple(roles)
