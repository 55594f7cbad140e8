"""Where the channels of a value get their magnitude from: constants in front of it that can be divided instead of it.

    LayerNormalization(v, g, b) -> x     g, b
    RMSNormalization(v, g), Mul(v, g)    g
    Conv, Gemm, MatMul                   the output channels of the weight, and the bias
    Add(v, b)                            b, and what scales v

also where Relu or LeakyRelu comes between, which scale with what they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import float_constant
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.encoding import set_constant
from nncompress.model.lineage import note_scaled
from nncompress.model.model import Model
from nncompress.model.node_attributes import int_of, operand, standard_op
from nncompress.model.readers import is_read_once

_NORMALISING = {"LayerNormalization": (1, 2), "RMSNormalization": (1,)}  # operands that scale and shift channels
_HOMOGENEOUS = ("Relu", "LeakyRelu")  # f(x / s) = f(x) / s for s > 0


@dataclass(frozen=True)
class Place:
    """An operand of a node that is a float32 constant, and the axis of the channels in it."""

    node: ir.Node
    index: int
    axis: int

    @property
    def value(self) -> ir.Value:
        value = self.node.inputs[self.index]
        assert value is not None, "a constant is there"
        return value


def places_before(value: ir.Value, axis: int, channels: int) -> tuple[Place, ...]:
    """What has to be divided to have `value` divided along `axis`; () where that cannot be had. Nobody else may read
    `value`."""
    while (node := value.producer()) is not None and standard_op(node) in _HOMOGENEOUS:
        inner = operand(node, 0)
        if inner is None or not is_read_once(inner):
            return ()
        value = inner
    found = () if node is None or value is not node.outputs[0] else tuple(_of_node(node, axis, channels))
    fit = all(_fits(place, channels) for place in found)
    return found if fit and any(place.node is node for place in found) else ()


def divide(model: Model, place: Place, factor: np.ndarray, names: Names) -> None:
    """The constant by `factor` [channels]; where something else reads it, too, the node gets one of its own."""
    value, constant = place.value, float_constant(place.value)
    assert constant is not None, "see places_before"
    along = factor.reshape([-1 if axis == place.axis else 1 for axis in range(len(constant.shape))])
    divided = ir.Tensor((constant.numpy() / along).astype(np.float32))
    if is_read_once(value):
        set_constant(value, divided)
        note_scaled(value, 1 / along)
        return
    draft = Draft(names)
    place.node.replace_input_with(place.index, draft.constant(divided, "scale"))
    insert_before(model, home_of(place.node), draft, place.node)
    drop_if_unread(value)


def _of_node(node: ir.Node, axis: int, channels: int) -> Iterator[Place]:
    """Also those that do not fit."""
    op = standard_op(node)
    if op == "Conv" and axis == 1:
        yield from _given(node, 1, 2)
    elif axis == -1 and op in _NORMALISING and int_of(node, "axis", -1) == -1:
        yield from _given(node, *_NORMALISING[op])
    elif axis == -1 and op == "Gemm":
        yield Place(node, 1, int(not int_of(node, "transB", 0)))
        yield from _given(node, 2)
    elif axis == -1 and op == "MatMul":
        yield Place(node, 1, 1)
    elif axis == -1 and op in ("Mul", "Add"):
        yield from _of_arithmetic(node, channels)


def _given(node: ir.Node, *indices: int) -> Iterator[Place]:
    """Those operands that are there, with the channels along their first axis."""
    yield from (Place(node, index, 0) for index in indices if operand(node, index) is not None)


def _of_arithmetic(node: ir.Node, channels: int) -> Iterator[Place]:
    index = next((i for i in (1, 0) if _fits(Place(node, i, 0), channels)), None)
    if index is None:
        return
    other = node.inputs[1 - index]
    before = other.producer() if other is not None and is_read_once(other) else None
    if standard_op(node) == "Mul":
        yield Place(node, index, 0)
    elif before is not None and standard_op(before) in ("Mul", "MatMul"):
        inner = list(_of_node(before, -1, channels))
        yield from (*inner, Place(node, index, 0)) if inner else ()


def _fits(place: Place, channels: int) -> bool:
    """True for a constant with the channels where they should be; a large one has no other reader."""
    value, op = operand(place.node, place.index), standard_op(place.node)
    constant = float_constant(value)
    if value is None or constant is None or constant.dtype != ir.DataType.FLOAT:
        return False
    shape = constant.shape.numpy()
    is_weight = place.index == 1 and op in ("Conv", "Gemm", "MatMul")
    ranks = range(3, 6) if is_weight and op == "Conv" else (2,) if is_weight else (1,)
    return len(shape) in ranks and shape[place.axis] == channels and (not is_weight or is_read_once(value))
