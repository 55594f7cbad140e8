"""Multiplies what scales and shifts whole channels into the weights beside it.

Behind a node, a BatchNormalization or arithmetic with constants is a factor and a shift a channel:

    f (conv(x, W) + b) + s  =  conv(x, W f) + (b f + s)

and in front of it a number by which everything is multiplied, or which is added where nothing is padded:

    conv(f x + s, W) + b  =  conv(x, W f) + (b + s sum W)

Only where all of it are finite constants, the weight has no other reader, and nothing else reads what is in between.
Runtimes do the first for batch normalisation at load, and a little of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import (
    constant_of,
    constant_tensor,
    float_constant,
    integers_in,
    note_bytes,
    stored_bytes,
)
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.encoding import set_constant
from nncompress.model.model import Model
from nncompress.model.node_attributes import float_of, int_of, ints_of, operand, standard_op, text_of
from nncompress.model.tensors import lazy

_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}  # of the weight
_EPSILON = 1e-5
_BIAS = 2
_LARGEST_SHIFT = 8.0  # by which a shift may grow where it changes places with a factor: three bits


@dataclass(frozen=True)
class _Linear:
    """A node whose weight nothing else reads, and whose bias, if any, is a constant."""

    node: ir.Node
    weight: ir.TensorProtocol
    bias: ir.TensorProtocol | None
    axis: int  # of the channels in the weight

    @property
    def value(self) -> ir.Value:
        value = self.node.inputs[1]
        assert value is not None, "a weight is there"
        return value

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""
        return tuple(int(d) for d in self.weight.shape.numpy())

    @property
    def channels(self) -> int:
        return self.shape[self.axis]

    def along(self, by_channel: np.ndarray) -> np.ndarray:
        """Numbers [channels] in a shape that broadcasts to the weight."""
        return by_channel.reshape([-1 if axis == self.axis else 1 for axis in range(len(self.shape))])

    def old_bias(self) -> np.ndarray:
        """float64 [channels] or [1]."""
        return np.zeros(1) if self.bias is None else self.bias.numpy().astype(np.float64).reshape(-1)


@dataclass(frozen=True)
class _Step:
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


def absorb_scales(model: Model) -> int:
    """In place; returns how many nodes are gone."""
    editor = _Absorber(model)
    for scope in list(model.scopes()):
        for node in [node for node in scope if standard_op(node) in _CHANNEL_AXIS]:
            while editor.absorb_behind(node):
                pass
            while editor.absorb_before(node):
                pass
    return editor.count


class _Absorber:
    """A model, and how many of its nodes are gone."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._names: Names | None = None
        self.count = 0

    def absorb_behind(self, node: ir.Node) -> bool:
        """The node that reads the result, if it can be a part of this one."""
        result = node.outputs[0]
        reader = _only_reader(result)
        linear = _linear(node) if reader is not None else None
        if reader is None or linear is None or reader.graph is not node.graph or not _is_plain(node):
            return False
        step = _normalisation(reader, linear) or _arithmetic(reader, result, len(linear.shape), linear.channels)
        if step is None:
            return False
        shift = linear.old_bias() * step.factor + step.shift
        if not self._rewrite(linear, linear.along(np.broadcast_to(step.factor, (linear.channels,))), shift, step.node):
            return False
        _take_over(node, step)
        self.count += 1
        return True

    def absorb_before(self, node: ir.Node) -> bool:
        """The node that computes the data, if nothing else reads them and it can be a part of this one."""
        data = operand(node, 0)
        producer = data.producer() if data is not None else None
        linear = _linear(node) if producer is not None and data is not None and _is_single(data) else None
        if producer is None or linear is None or producer.graph is not node.graph or not _is_plain_before(node):
            return False
        step = _arithmetic(producer, None, len(linear.shape), 0)
        if step is None:
            return False
        if not step.shift.any():
            moved = linear.old_bias()
        elif _pads(node):
            return self._turn_around(step)
        else:
            moved = linear.old_bias() + step.shift * _sums(linear)
        if not self._rewrite(linear, step.factor.reshape([1] * len(linear.shape)), moved, step.node):
            return False
        node.replace_input_with(0, step.data)
        _remove(step)
        self.count += 1
        return True

    def _turn_around(self, step: _Step) -> bool:
        """f x + s becomes f (x + s / f), of which the factor can be absorbed where zeros are padded."""
        earlier = step.data.producer()
        if not step.is_sum or earlier is None or earlier.graph is not step.node.graph or not _is_single(step.data):
            return False
        before = _arithmetic(earlier, None, 0, 0)
        if before is None or before.is_sum or not before.factor.all():
            return False
        shift = step.shift / before.factor
        if abs(float(shift[0])) > _LARGEST_SHIFT * max(1.0, abs(float(step.shift[0]))):
            return False
        result, dtype = step.node.outputs[0], step.dtype
        draft = Draft(self._free_names())
        total = draft.node("Add", [before.data, draft.constant(shift.astype(dtype), "c")])
        product = draft.node("Mul", [total, draft.constant(before.factor.astype(dtype), "c")])
        total.type, total.shape, product.type, product.shape = result.type, result.shape, result.type, result.shape
        insert_before(self._model, home_of(step.node), draft, step.node)
        name = result.name
        result.replace_all_uses_with(product)
        for gone in (step, before):
            _remove(gone)
        product.name = name
        return True

    def _rewrite(self, linear: _Linear, factor: np.ndarray, bias: np.ndarray, step: ir.Node) -> bool:
        """Other values for weight and bias; False where they would not stay finite in the type of the weight."""
        weight, dtype = linear.weight, linear.weight.dtype.numpy()

        def scaled() -> np.ndarray:
            with np.errstate(all="ignore"):
                return np.asarray((weight.numpy() * factor).astype(dtype))

        with np.errstate(all="ignore"):
            moved = np.broadcast_to(bias, (linear.channels,)).astype(dtype)
        scales = bool((factor != 1).any())
        if (
            not np.isfinite(moved).all()
            or not np.isfinite(factor).all()
            or (scales and not np.isfinite(scaled()).all())
        ):
            return False
        node, old = linear.node, operand(linear.node, _BIAS)
        read = {value for value in (old, *step.inputs) if value is not None and constant_tensor(value) is not None}
        if scales:
            set_constant(linear.value, lazy(scaled, weight.dtype, linear.shape, linear.value.name or ""))
        if linear.bias is None and not moved.any():
            return True
        draft = Draft(self._free_names())
        fresh = draft.constant(moved, "bias")
        node.resize_inputs(max(len(node.inputs), _BIAS + 1))
        node.replace_input_with(_BIAS, fresh)
        insert_before(self._model, home_of(node), draft, node)
        gone = [value for value in read if all(use.node is step for use in value.uses())]
        note_bytes(fresh, sum(stored_bytes(v, t) for v in gone if (t := constant_tensor(v)) is not None))
        if old is not None:
            drop_if_unread(old)
        return True

    def _free_names(self) -> Names:
        self._names = self._names or Names(self._model)
        return self._names


# ------------------------------------------------------------------------------------------------ what there is
def _linear(node: ir.Node) -> _Linear | None:
    """None where the weight or the bias is no constant of its own."""
    op, value, bias = standard_op(node) or "", operand(node, 1), operand(node, _BIAS)
    single = value is not None and len(value.uses()) == 1 and not value.is_graph_output()
    weight, held = float_constant(value) if single else None, float_constant(bias)
    if weight is None or (bias is not None and held is None):
        return None
    axis = 0 if op == "Gemm" and int_of(node, "transB", 0) else _CHANNEL_AXIS[op]
    rank = len(weight.shape)
    if rank <= axis or (op == "Gemm" and rank != 2):
        return None
    linear = _Linear(node, weight, held, axis)
    fits = held is None or tuple(map(int, held.shape.numpy())) in ((1,), (linear.channels,))
    with np.errstate(all="ignore"):
        return linear if fits and np.isfinite(linear.old_bias()).all() else None


def _is_plain(node: ir.Node) -> bool:
    """True without attributes that change what a channel is, or how often the bias counts."""
    if node.op_type == "ConvTranspose":
        return int_of(node, "group", 1) == 1
    return node.op_type == "Conv" or float_of(node, "beta", 1.0) == 1.0


def _is_plain_before(node: ir.Node) -> bool:
    """The same for its data."""
    return _is_plain(node) and (
        node.op_type == "Conv" or (node.op_type == "Gemm" and float_of(node, "alpha", 1.0) == 1.0)
    )


def _pads(node: ir.Node) -> bool:
    if standard_op(node) != "Conv":
        return False
    pads = ints_of(node, "pads")
    return pads is None or any(pads) or text_of(node, "auto_pad") not in ("", "NOTSET", "VALID")


def _sums(linear: _Linear) -> np.ndarray:
    """Of the weights of each channel, float64."""
    weight = linear.weight.numpy().astype(np.float64)
    total: np.ndarray = weight.sum(axis=tuple(axis for axis in range(weight.ndim) if axis != linear.axis))
    return total


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def _is_single(value: ir.Value) -> bool:
    return _only_reader(value) is not None and not value.is_graph_input()


def _normalisation(norm: ir.Node, linear: _Linear) -> _Step | None:
    """A BatchNormalization behind it."""
    if standard_op(norm) != "BatchNormalization" or norm.inputs[0] is not linear.node.outputs[0]:
        return None
    used = [out for out in norm.outputs[1:] if out.name or out.uses()]
    whole = int_of(norm, "training_mode", 0) == 0 and int_of(norm, "spatial", 1) == 1
    values = [operand(norm, index) for index in (1, 2, 3, 4)]
    parameters, epsilon = [float_constant(value) for value in values], float_of(norm, "epsilon", _EPSILON)
    if used or not whole or epsilon is None or any(parameter is None for parameter in parameters):
        return None
    with np.errstate(all="ignore"):  # NaN of all kinds
        scale, shift, mean, variance = (p.numpy().astype(np.float64) for p in parameters if p is not None)
        if any(p.shape != (linear.channels,) for p in (scale, shift, mean, variance)):
            return None
        factor = scale / np.sqrt(variance + epsilon)
        return _Step(norm, linear.node.outputs[0], factor, shift - mean * factor, _values(values))


def _values(values: Sequence[ir.Value | None]) -> tuple[ir.Value, ...]:
    return tuple(value for value in values if value is not None)


def _arithmetic(node: ir.Node, data: ir.Value | None, rank: int, channels: int) -> _Step | None:
    """Add, Sub, Mul or Div of `data` (None: of what is no constant) by one number, or one for each of the channels,
    which stand along axis 1 of `rank` axes."""
    op = standard_op(node)
    if op not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2:
        return None
    arrays = [_small_constant(value) for value in node.inputs]
    place = next((index for index, array in enumerate(arrays) if array is not None), None)
    if place is None or arrays[1 - place] is not None or (op == "Div" and place == 0):
        return None
    read, array, value = node.inputs[1 - place], arrays[place], node.inputs[place]
    if read is None or array is None or value is None or (data is not None and read is not data):
        return None
    numbers, values = _by_channel(array, rank, channels), (value,)
    if numbers is None or not np.isfinite(numbers).all() or (op == "Div" and not numbers.all()):
        return None
    one, none = np.ones(1), np.zeros(1)
    if op == "Mul" or op == "Div":
        return _Step(node, read, numbers if op == "Mul" else 1 / numbers, none, values)
    if op == "Sub":
        return _Step(node, read, -one if place == 0 else one, numbers if place == 0 else -numbers, values)
    return _Step(node, read, one, numbers, values)


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
        return array.reshape(1) if array.ndim <= max(rank, 1) else None
    if rank < 2 or array.ndim > rank or array.size != channels:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    return array.reshape(-1) if shape[1] == channels else None


# ------------------------------------------------------------------------------------------------ what is gone
def _take_over(node: ir.Node, step: _Step) -> None:
    """The result of the linear node takes the name and the readers of that of the step, which goes."""
    result, later = node.outputs[0], step.node.outputs[0]
    name = later.name
    later.replace_all_uses_with(result, replace_graph_outputs=True)
    result.type, result.shape = later.type or result.type, later.shape or result.shape
    _remove(step)
    result.name = name


def _remove(step: _Step) -> None:
    """The node, and constants that nothing else reads."""
    home_of(step.node).remove(step.node, safe=True)
    for value in dict.fromkeys(step.constants):
        made = value.producer()
        if made is not None and not value.uses() and standard_op(made) == "Reshape":
            inner = _values(made.inputs)
            home_of(made).remove(made, safe=True)
            for each in inner:
                drop_if_unread(each)
        else:
            drop_if_unread(value)
