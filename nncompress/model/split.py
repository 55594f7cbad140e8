"""Splits a linear node into two thinner ones in a row: x W becomes (x A) B."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft, home_of, insert_before
from nncompress.model.model import Model, Scope
from nncompress.model.node_attributes import int_of
from nncompress.model.weights import Use, Weight

_SPATIAL = ("strides", "pads", "dilations", "auto_pad")


def obstacle(weight: Weight) -> str | None:
    """Why the readers of `weight` cannot be split; None if they can."""
    layouts = set()
    if len(weight.value.uses()) > len(weight.uses):
        return "it is also read by operators that cannot be split"
    for use in weight.uses:
        reason = _use_obstacle(weight, use)
        if reason:
            return reason
        layouts.add((use.op, use.channel_axes))
    return None if len(layouts) == 1 else "it is read in different ways"


def _use_obstacle(weight: Weight, use: Use) -> str | None:
    if use.op not in ("MatMul", "Gemm", "Conv"):
        return f"{use.op} cannot be split into two nodes"
    if not use.direct or use.index != 1:
        return "it is not read directly as the second operand"
    if use.op == "Conv":
        if len(weight.shape) < 3 or any(d != 1 for d in weight.shape[2:]):
            return "only Conv with a kernel of 1 can be split"
        if int_of(use.node, "group", 1) != 1:
            return "Conv with groups cannot be split"
        if any(attribute.is_ref() for attribute in use.node.attributes.values()):
            return "attributes of its Conv are given by the callers of a function"
        return None
    if len(weight.shape) != 2:
        return "only matrices can be split"
    if use.op == "Gemm" and int_of(use.node, "transA", 0) != 0:
        return "Gemm with transA cannot be split"
    return None


def as_matrix(weight: Weight, array: np.ndarray) -> np.ndarray:
    """The weight [K, N] as in y = x W, a view."""
    use = weight.uses[0]
    matrix = array.reshape(array.shape[:2])
    return matrix.T if use.channel_axes == (0,) else matrix


def matrix_shape(weight: Weight) -> tuple[int, int]:
    """(K, N) of `as_matrix`."""
    rows, columns = weight.shape[:2]
    return (columns, rows) if weight.uses[0].channel_axes == (0,) else (rows, columns)


def factor_shapes(weight: Weight, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How A [K, r] and B [r, N] are stored for the operator that reads the weight."""
    k, n = matrix_shape(weight)
    if weight.uses[0].op == "Conv":
        ones = (1,) * (len(weight.shape) - 2)
        return (rank, k, *ones), (n, rank, *ones)
    return (k, rank), (rank, n)


def as_stored(weight: Weight, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A [K, r] and B [r, N] in the shapes of `factor_shapes`."""
    if weight.uses[0].op == "Conv":
        a, b = a.T, b.T
    shapes = factor_shapes(weight, a.shape[0] if weight.uses[0].op == "Conv" else a.shape[1])
    return np.ascontiguousarray(a).reshape(shapes[0]), np.ascontiguousarray(b).reshape(shapes[1])


def product(weight: Weight, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What factors in the shapes of `factor_shapes` stand for, in the shape of the weight; float64."""
    left, right = (factor.reshape(factor.shape[:2]).astype(np.float64) for factor in (a, b))
    matrix = (right @ left).T if weight.uses[0].op == "Conv" else left @ right
    return (matrix.T if weight.uses[0].channel_axes == (0,) else matrix).reshape(weight.shape)


def split_readers(model: Model, weight: Weight, constants: Draft, a: ir.Value, b: ir.Value) -> None:
    """Rewires every reader of `weight` to the factors `a` and `b`, which `constants` holds."""
    for use in weight.uses:
        _split(model, home_of(use.node), use.node, Draft(constants.names), a, b)


def _split(model: Model, scope: Scope, node: ir.Node, draft: Draft, a: ir.Value, b: ir.Value) -> None:
    attributes: dict[str, object] = {}
    op = "Conv" if node.op_type == "Conv" else "MatMul"
    if op == "Conv":  # the first one strides and pads, so that the second works on fewer places
        for name in (*_SPATIAL, "kernel_shape"):
            if name in node.attributes:
                attributes[name] = node.attributes[name].value
                if name != "kernel_shape":
                    del node.attributes[name]
    inner = draft.node(op, [node.inputs[0], a], attributes)
    insert_before(model, scope, draft, node)
    node.replace_input_with(0, inner)
    node.replace_input_with(1, b)
    if node.op_type == "Gemm" and "transB" in node.attributes:
        del node.attributes["transB"]
