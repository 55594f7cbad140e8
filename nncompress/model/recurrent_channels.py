"""The states of LSTM, GRU and RNN as channels: what a node holds for each, and where they begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.channel_groups import Holder
from nncompress.model.constants import constant_tensor, float_constant
from nncompress.model.node_attributes import int_of, operand, standard_op, text_of
from nncompress.model.readers import is_read_once

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_INPUT, _RECURRENT, _BIAS, _START_H, _START_C, _PEEPHOLES = 1, 2, 3, 5, 6, 7  # operands
_UNIFORM = {"Cast", "Expand", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
_STEPS = 8  # of those


@dataclass(frozen=True)
class States:
    """A node whose states nobody sees but as its results [steps, directions, N, channels] and the last of them."""

    channels: int
    directions: int
    maker: Holder  # the input weights
    reader: Holder  # the recurrent weights, by their last axis
    others: tuple[Holder, ...]
    starts: tuple[Holder, ...]  # that are computed, and the same number for each channel


def states_of(node: ir.Node) -> States | None:
    """None where that is not known, or something else sees the states."""
    gates, channels = _GATES.get(standard_op(node) or ""), int_of(node, "hidden_size", 0)
    shapes = [_shape_of_own(node, index) for index in (_INPUT, _RECURRENT)]
    directions = 2 if text_of(node, "direction") == "bidirectional" else 1
    if gates is None or not channels or int_of(node, "layout", 0) != 0:
        return None
    seen = any(out.uses() or out.is_graph_output() for out in node.outputs[2:])  # of an LSTM, its cells
    if seen or any(shape is None or shape[:2] != (directions, gates * channels) for shape in shapes):
        return None
    others = [Holder(node, _RECURRENT, 1, outer=gates)]
    starts = []
    for index, axis, outer in ((_BIAS, 1, 2 * gates), (_PEEPHOLES, 1, 3), (_START_H, 2, 1), (_START_C, 2, 1)):
        value = operand(node, index)
        if value is None:
            continue
        tensor = constant_tensor(value)
        if tensor is not None and not value.is_graph_input() and int(tensor.shape.numpy()[axis]) == outer * channels:
            others.append(Holder(node, index, axis, outer=outer))
        elif axis == 2 and is_uniform(value):
            starts.append(Holder(node, index, axis))
        else:
            return None
    return States(
        channels, directions, Holder(node, _INPUT, 1, outer=gates), Holder(node, _RECURRENT, 2),
        tuple(others), tuple(starts),
    )  # fmt: skip


def reads_inputs(node: ir.Node) -> tuple[int, ...] | None:
    """The shape of the input weights of a recurrent node, which has them for itself; None for anything else."""
    known = standard_op(node) in _GATES and int_of(node, "layout", 0) == 0
    return _shape_of_own(node, _INPUT) if known else None


def is_uniform(value: ir.Value) -> bool:
    """True for what is one number again and again, as far as a few nodes show."""
    current: ir.Value | None = value
    for _ in range(_STEPS):
        tensor = constant_tensor(current)
        if current is None or tensor is not None:
            return tensor is not None and np.unique(tensor.numpy()).size == 1
        producer = current.producer()
        if producer is None or standard_op(producer) not in _UNIFORM:
            return producer is not None and standard_op(producer) == "ConstantOfShape"
        current = operand(producer, 0)
    return False


def _shape_of_own(node: ir.Node, index: int) -> tuple[int, ...] | None:
    value = operand(node, index)
    tensor = float_constant(value)
    if tensor is None or value is None or not is_read_once(value) or len(tensor.shape) != 3:
        return None
    return tuple(int(d) for d in tensor.shape.numpy())
