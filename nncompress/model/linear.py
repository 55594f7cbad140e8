"""A node that multiplies by weights: its result, along which axis that has channels, and where its bias is.

    operator        channels of the result   where its bias is
    Conv            axis 1                   input 2; else an Add or a BatchNormalization (its mean) that alone reads
    ConvTranspose   axis 1                   the result; else an input 2 is made
    Gemm            the last axis            the same; input 2 counts beta times
    MatMul          the last axis            the constant of an Add that alone reads the result, on either side

`move_bias` adds to it. A constant that something else reads as well stays as it is: the node gets one of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_tensor, float_constant
from nncompress.model.edit import Draft, Names, home_of, insert_before
from nncompress.model.encoding import set_constant
from nncompress.model.model import Model, op_name
from nncompress.model.node_attributes import float_of, int_of
from nncompress.model.weights import Use, Weight, find_weights

_CHANNELS = {"Conv": 1, "ConvTranspose": 1, "Gemm": -1, "MatMul": -1}
_OWN, _MEAN = 2, 3  # inputs: the bias of Conv, ConvTranspose and Gemm; the mean of BatchNormalization


@dataclass(frozen=True)
class Bias:
    """A constant whose multiple is added to the result, or one that can be made."""

    node: ir.Node
    index: int  # of its input
    times: float  # the node adds so many times the constant
    trailing: int  # axes that come behind the channels where the constant is broadcast
    dtype: np.dtype  # of the constant

    @property
    def value(self) -> ir.Value | None:
        """None where there is no such constant yet."""
        return self.node.inputs[self.index] if self.index < len(self.node.inputs) else None

    def moved(self, by: np.ndarray) -> np.ndarray:
        """The constant after `by` [channels] was added to the result; not finite where its type cannot hold it."""
        tensor = constant_tensor(self.value)
        before = tensor.numpy().astype(np.float64) if tensor is not None else np.zeros(())
        with np.errstate(over="ignore"):
            after = before + by.reshape(-1, *(1,) * self.trailing) / self.times
            return np.asarray(after.astype(self.dtype))


@dataclass(frozen=True)
class Linear:
    """One node with the weights that it reads, and its bias or the reason why none could be moved."""

    node: ir.Node
    weights: tuple[Weight, ...]
    bias: Bias | str

    @property
    def result(self) -> ir.Value:
        return self.node.outputs[0]

    @property
    def channel_axis(self) -> int | None:
        """Of the result; negative axes count from the end. None where it is not known."""
        return _CHANNELS.get(op_name(self.node))


def find_linears(model: Model) -> list[Linear]:
    """Every node that sums over weights or looks them up, in the order in which `find_weights` has them."""
    operands: dict[int, list[tuple[Weight, Use]]] = {}
    for weight in find_weights(model):
        for use in weight.uses if not weight.is_elementwise else ():
            operands.setdefault(id(use.node), []).append((weight, use))
    return [
        Linear(pairs[0][1].node, tuple({id(weight): weight for weight, _ in pairs}.values()), _bias_of(*pairs[0]))
        for pairs in operands.values()
    ]


def move_bias(model: Model, bias: Bias, by: np.ndarray, names: Names) -> None:
    """Adds `by` [channels] to the result of the node that `bias` belongs to."""
    value, moved = bias.value, bias.moved(by)
    if value is not None and len(value.uses()) == 1 and not (value.is_graph_input() or value.is_graph_output()):
        set_constant(value, ir.Tensor(moved))
        value.shape = ir.Shape(moved.shape)
        return
    draft = Draft(names)
    own = draft.constant(moved, "bias")
    bias.node.resize_inputs(max(len(bias.node.inputs), bias.index + 1))
    bias.node.replace_input_with(bias.index, own)
    insert_before(model, home_of(bias.node), draft, bias.node)


# ------------------------------------------------------------------------------------------------ where it is
def _bias_of(weight: Weight, use: Use) -> Bias | str:
    node = use.node
    if use.kind == "table":
        return "it is looked up: nothing is added to what comes out"
    if op_name(node) not in _CHANNELS:
        return f"{op_name(node)} adds no bias to its result that could be moved"
    if use.index != 1:
        return "it multiplies from the left: its channels are rows of the result"
    if not use.channel_axes:
        return "its result has no channels"
    if op_name(node) == "MatMul":
        return _behind(use) or "nothing is added to its result that could be moved"
    return _own(weight, use)


def _own(weight: Weight, use: Use) -> Bias | str:
    """The bias of a Conv, ConvTranspose or Gemm."""
    node = use.node
    value = node.inputs[_OWN] if len(node.inputs) > _OWN else None
    times = float_of(node, "beta", 1.0) if node.op_type == "Gemm" else 1.0
    tensor = float_constant(value)
    if value is None and (behind := _behind(use)) is not None:
        return behind
    if value is not None and tensor is None:
        return "its bias is computed, or an input"
    if tensor is None and not use.direct:
        return "it has no bias, and the weight is not read directly"
    if not times:
        return "its bias does not count: beta is 0" if times == 0 else "how often its bias counts is not known"
    return Bias(node, _OWN, times, 0, (tensor or weight.tensor).dtype.numpy())


def _behind(use: Use) -> Bias | None:
    """What is added to the result by the only node that reads it."""
    node, result = use.node, use.node.outputs[0]
    readers = tuple(result.uses())
    if len(readers) != 1 or result.is_graph_output():
        return None
    reader, index = readers[0].node, readers[0].idx
    if op_name(reader) == "Add" and reader.graph is node.graph and len(reader.inputs) == 2:
        constant = float_constant(reader.inputs[1 - index])
        if constant is None or use.rank is None:
            return None
        trailing = use.rank - 2 if _CHANNELS[node.op_type] == 1 else 0
        return Bias(reader, 1 - index, 1.0, trailing, constant.dtype.numpy())
    if op_name(reader) == "BatchNormalization" and index == 0 and node.op_type != "MatMul":
        mean = _mean_of(reader)
        return None if mean is None else Bias(reader, _MEAN, -1.0, 0, mean.dtype.numpy())
    return None


def _mean_of(reader: ir.Node) -> ir.TensorProtocol | None:
    """The constant by which it normalises channel by channel."""
    mean = float_constant(reader.inputs[_MEAN]) if len(reader.inputs) > _MEAN else None
    plain = int_of(reader, "training_mode", 0) == 0 and int_of(reader, "spatial", 1) == 1 and len(reader.outputs) == 1
    return mean if plain and mean is not None and len(mean.shape) == 1 else None
