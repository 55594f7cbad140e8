"""Data by which several weights are multiplied, channel by channel of their last axis, and how to scale those channels.

    LayerNormalization(v, g, b) -> x        g / s and b / s
    Add(Mul(v, g), b)           -> x        g / s and b / s
    Mul(v, g), RMSNormalization -> x        g / s
    x                                       Mul(x, 1 / s), for the products alone

The last where something else reads x, such as a residual connection, or nothing of these comes before it. The rows of
the weights take s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import float_constant
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before, insert_behind
from nncompress.model.encoding import set_constant, set_values
from nncompress.model.lineage import note_scaled
from nncompress.model.model import Model
from nncompress.model.multiplied import data_of
from nncompress.model.node_attributes import int_of, standard_op
from nncompress.model.weights import Weight

_NORMALISING = {"LayerNormalization": (1, 2), "RMSNormalization": (1,)}  # operands that scale and shift channels

Place = tuple[ir.Node, int]
"""A node and the operand that is a constant [channels]."""


@dataclass(frozen=True)
class SharedData:
    """A value and the weights that it is multiplied by: each [channels, n] or [n, channels], and by nothing else."""

    data: ir.Value
    weights: tuple[Weight, ...]
    places: tuple[Place, ...]  # what its channels are scaled by in front of it; (): nothing that could be changed

    @property
    def channels(self) -> int:
        return self.weights[0].shape[_rows_axis(self.weights[0])]

    @property
    def rows(self) -> list[np.ndarray]:
        """The weights as [channels, n]."""
        return [np.moveaxis(weight.array(), _rows_axis(weight), 0) for weight in self.weights]


def find_shared_data(model: Model, weights: Sequence[Weight]) -> tuple[list[SharedData], dict[str, str]]:
    """Groups of `weights`, and the reasons why others are in none, by name."""
    groups: dict[ir.Value, list[Weight]] = {}
    reasons: dict[str, str] = {}
    for weight in weights:
        data = _data_of(model, weight)
        if isinstance(data, str):
            reasons[weight.name] = data
        else:
            groups.setdefault(data, []).append(weight)
    return [_shared(data, members) for data, members in groups.items()], reasons


def move_scales(model: Model, shared: SharedData, factor: np.ndarray, names: Names) -> None:
    """Divides the channels of the data by `factor`, float32 [channels], and multiplies rows of the weights by it."""
    for place in shared.places:
        _divide(model, *place, factor, names)
    if not shared.places:
        _divide_behind(model, shared, factor, names)
    for weight in shared.weights:
        axis = _rows_axis(weight)
        along = factor.reshape([-1 if a == axis else 1 for a in range(2)])
        set_values(weight, ir.Tensor((weight.array() * along).astype(np.float32)))
        note_scaled(weight.value, along)


def _rows_axis(weight: Weight) -> int:
    (axis,) = weight.uses[0].contraction_axes
    return axis


def _data_of(model: Model, weight: Weight) -> ir.Value | str:
    """What alone it is multiplied by; or why that cannot be scaled."""
    if weight.dtype != ir.DataType.FLOAT or len(weight.shape) != 2:
        return "it is no float32 matrix"
    if len(weight.value.uses()) != len(weight.uses) or not all(use.direct and use.index == 1 for use in weight.uses):
        return "it is not only the right operand of MatMul and Gemm"
    if any(use.node.graph is not model.ir.graph for use in weight.uses):
        return "it lies in a graph inside a node (If, Loop, Scan) or in a function: calibration does not go there"
    found = [data_of(use) for use in weight.uses]
    values = {None if data is None else data.value for data in found}
    if len(values) > 1 or len({use.contraction_axes for use in weight.uses}) > 1:
        return "it is multiplied by several values"
    first = found[0]
    turned = {int_of(use.node, "transA", 0) for use in weight.uses} != {0}
    if first is None or turned or weight.uses[0].op not in ("MatMul", "Gemm"):
        return "it is not only the right operand of MatMul and Gemm"
    return first.value


def _shared(data: ir.Value, weights: list[Weight]) -> SharedData:
    shared = SharedData(data, tuple(weights), ())
    readers = {id(use.node) for weight in weights for use in weight.uses}
    alone = all(id(use.node) in readers and use.idx == 0 for use in data.uses()) and not data.is_graph_output()
    return SharedData(data, shared.weights, tuple(_places(data, shared.channels)) if alone else ())


def _places(data: ir.Value, channels: int) -> list[Place]:
    """The constants by which its channels are scaled and shifted; [] where there are none."""
    node = data.producer()
    op = standard_op(node) if node is not None else None
    if node is None:
        return []
    if op in _NORMALISING:
        operands = [index for index in _NORMALISING[op] if index < len(node.inputs) and node.inputs[index] is not None]
        plain = int_of(node, "axis", -1) == -1 and data is node.outputs[0]
        return [(node, index) for index in operands] if plain and _all_scale(node, operands, channels) else []
    index = _scaling_operand(node, channels)
    if index is None or op == "Mul":
        return [] if index is None else [(node, index)]
    other = node.inputs[1 - index]
    before = other.producer() if other is not None and len(other.uses()) == 1 and not other.is_graph_output() else None
    inner = _scaling_operand(before, channels) if before is not None and standard_op(before) == "Mul" else None
    return [] if inner is None or before is None else [(before, inner), (node, index)]


def _all_scale(node: ir.Node, operands: Sequence[int], channels: int) -> bool:
    return all(_is_along(node.inputs[index], channels) for index in operands)


def _scaling_operand(node: ir.Node, channels: int) -> int | None:
    """Of a Mul or Add, which one is a constant for each channel."""
    if standard_op(node) not in ("Mul", "Add") or len(node.inputs) != 2:
        return None
    return next((index for index in (1, 0) if _is_along(node.inputs[index], channels)), None)


def _is_along(value: ir.Value | None, channels: int) -> bool:
    """True for float32 [channels]."""
    constant = float_constant(value)
    return constant is not None and constant.dtype == ir.DataType.FLOAT and constant.shape.numpy() == (channels,)


def _divide(model: Model, node: ir.Node, index: int, factor: np.ndarray, names: Names) -> None:
    """The operand by `factor`; a node of its own gets a constant that something else reads as well."""
    value, constant = node.inputs[index], float_constant(node.inputs[index])
    assert value is not None, "see _places"
    assert constant is not None, "see _places"
    divided = (constant.numpy() / factor).astype(np.float32)
    if len(value.uses()) == 1 and not value.is_graph_output():
        set_constant(value, ir.Tensor(divided))
        return
    draft = Draft(names)
    node.replace_input_with(index, draft.constant(divided, "scale"))
    insert_before(model, home_of(node), draft, node)
    drop_if_unread(value)


def _divide_behind(model: Model, shared: SharedData, factor: np.ndarray, names: Names) -> None:
    """The data by `factor`, for the products alone."""
    data, draft = shared.data, Draft(names)
    divided = draft.node("Mul", [data, draft.constant(1 / factor, "scale")])
    divided.type, divided.shape = data.type, data.shape
    insert_behind(model, model.ir.graph, draft, data)
    for node in dict.fromkeys(use.node for weight in shared.weights for use in weight.uses):
        node.replace_input_with(0, divided)
