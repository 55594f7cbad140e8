"""Nodes that scale and shift whole channels: batch normalisation, and arithmetic with constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_of, constant_tensor, float_constant, integers_in
from nncompress.model.edit import drop_if_unread, home_of
from nncompress.model.node_attributes import float_of, int_of, operand, standard_op

EPSILON = 1e-5  # of BatchNormalization, where the node names none


@dataclass(frozen=True)
class ChannelStep:
    """A node that computes factor * x + shift; both float64, [1] or [channels]."""

    node: ir.Node
    data: ir.Value
    factor: np.ndarray
    shift: np.ndarray
    constants: tuple[ir.Value, ...]

    @property
    def is_sum(self) -> bool:
        """True where nothing is multiplied."""
        return bool((self.factor == 1).all())

    @property
    def dtype(self) -> np.dtype:
        """Of what it computes with."""
        producer = self.constants[0].producer()
        value = self.constants[0] if producer is None or constant_tensor(self.constants[0]) else producer.inputs[0]
        tensor = constant_tensor(value)
        assert tensor is not None, "a constant, or one reshaped"
        return tensor.dtype.numpy()


def normalisation(norm: ir.Node, result: ir.Value, channels: int) -> ChannelStep | None:
    """A BatchNormalization behind it."""
    if standard_op(norm) != "BatchNormalization" or norm.inputs[0] is not result:
        return None
    used = [out for out in norm.outputs[1:] if out.name or out.uses()]
    whole = int_of(norm, "training_mode", 0) == 0 and int_of(norm, "spatial", 1) == 1
    values = [operand(norm, index) for index in (1, 2, 3, 4)]
    parameters, epsilon = [float_constant(value) for value in values], float_of(norm, "epsilon", EPSILON)
    if used or not whole or epsilon is None or any(parameter is None for parameter in parameters):
        return None
    with np.errstate(all="ignore"):  # NaN of all kinds
        scale, shift, mean, variance = (p.numpy().astype(np.float64) for p in parameters if p is not None)
        if any(p.shape != (channels,) for p in (scale, shift, mean, variance)):
            return None
        factor = scale / np.sqrt(variance + epsilon)
        return ChannelStep(norm, result, factor, shift - mean * factor, _present(values))


def arithmetic(node: ir.Node, result: ir.Value, rank: int, channels: int) -> ChannelStep | None:
    """Add, Sub, Mul or Div behind it by one number, or one for each of the channels, which stand along axis 1 of
    `rank` axes."""
    step = _arithmetic(node, lambda _, array: _by_channel(array, rank, channels))
    return step if step is not None and step.data is result else None


def arithmetic_of_one(node: ir.Node) -> ChannelStep | None:
    """The same of what is no constant, and one number that adds no axis to it."""
    return _arithmetic(node, lambda data, array: _alone(array, 1 if data.shape is None else len(data.shape)))


def _arithmetic(node: ir.Node, numbers_in: Callable[[ir.Value, np.ndarray], np.ndarray | None]) -> ChannelStep | None:
    """None with attributes: before opset 7 they said along which axis."""
    op = standard_op(node)
    if op not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2 or node.attributes:
        return None
    arrays = [_small_constant(value) for value in node.inputs]
    place = next((index for index, array in enumerate(arrays) if array is not None), None)
    if place is None or arrays[1 - place] is not None or (op == "Div" and place == 0):
        return None
    read, array, value = node.inputs[1 - place], arrays[place], node.inputs[place]
    if read is None or array is None or value is None:
        return None
    numbers, values = numbers_in(read, array), (value,)
    if numbers is None or not np.isfinite(numbers).all() or (op == "Div" and not numbers.all()):
        return None
    one, none = np.ones(1), np.zeros(1)
    if op == "Mul" or op == "Div":
        with np.errstate(over="ignore"):  # an infinite factor is nothing that a weight holds
            return ChannelStep(node, read, numbers if op == "Mul" else 1 / numbers, none, values)
    if op == "Sub":
        return ChannelStep(node, read, -one if place == 0 else one, numbers if place == 0 else -numbers, values)
    return ChannelStep(node, read, one, numbers, values)


def _small_constant(value: ir.Value | None) -> np.ndarray | None:
    """A float constant, maybe one that is reshaped before it is read, as float64."""
    producer, shape = value.producer() if value is not None else None, None
    if value is not None and producer is not None and standard_op(producer) == "Reshape" and len(value.uses()) == 1:
        shape = integers_in(constant_of(operand(producer, 1)))
        value = operand(producer, 0) if shape is not None and min(shape, default=1) > 0 else None
    tensor = float_constant(value)
    if tensor is None:
        return None
    with np.errstate(all="ignore"):
        array = tensor.numpy().astype(np.float64)
    return array if shape is None else array.reshape(shape) if math.prod(shape) == array.size else None


def _by_channel(array: np.ndarray, rank: int, channels: int) -> np.ndarray | None:
    """[1] or [channels]; None where it is neither, or the result has more axes than the data."""
    if array.size == 1:
        return _alone(array, rank)
    if rank < 2 or array.ndim > rank or array.size != channels:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    return array.reshape(-1) if shape[1] == channels else None


def _alone(array: np.ndarray, rank: int) -> np.ndarray | None:
    return array.reshape(1) if array.size == 1 and array.ndim <= rank else None


def remove_step(step: ChannelStep) -> None:
    """The node, and constants that nothing else reads."""
    home_of(step.node).remove(step.node, safe=True)
    for value in dict.fromkeys(step.constants):
        made = value.producer()
        if made is not None and standard_op(made) == "Reshape":
            if value.uses() or value.is_graph_output():
                continue
            inner = _present(made.inputs)
            home_of(made).remove(made, safe=True)
            for each in inner:
                drop_if_unread(each)
        else:
            drop_if_unread(value)


def _present(values: Sequence[ir.Value | None]) -> tuple[ir.Value, ...]:
    return tuple(value for value in values if value is not None)
