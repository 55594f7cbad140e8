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
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.channel_steps import (
    ChannelStep,
    arithmetic,
    arithmetic_of_one,
    normalisation,
    remove_step,
)
from nncompress.model.constants import (
    constant_tensor,
    float_constant,
    note_bytes,
    stored_bytes,
)
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.encoding import set_constant
from nncompress.model.model import Model
from nncompress.model.node_attributes import float_of, int_of, ints_of, operand, standard_op, text_of
from nncompress.model.readers import is_read_once, only_reader
from nncompress.model.tensors import lazy
from nncompress.numerics.grid import smallest_normal

_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}  # of the weight
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
        reader = only_reader(result)
        linear = _linear(node) if reader is not None else None
        if reader is None or linear is None or reader.graph is not node.graph or not _is_plain(node):
            return False
        step = normalisation(reader, result, linear.channels) or arithmetic(
            reader, result, len(linear.shape), linear.channels
        )
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
        linear = _linear(node) if producer is not None and data is not None and is_read_once(data) else None
        if producer is None or linear is None or producer.graph is not node.graph or not _is_plain_before(node):
            return False
        step = arithmetic_of_one(producer)
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
        remove_step(step)
        self.count += 1
        return True

    def _turn_around(self, step: ChannelStep) -> bool:
        """f x + s becomes f (x + s / f), of which the factor can be absorbed where zeros are padded."""
        earlier = step.data.producer()
        if not step.is_sum or earlier is None or earlier.graph is not step.node.graph or not is_read_once(step.data):
            return False
        before = arithmetic_of_one(earlier)
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
            remove_step(gone)
        product.name = name
        return True

    def _rewrite(self, linear: _Linear, factor: np.ndarray, bias: np.ndarray, step: ir.Node) -> bool:
        """Other values for weight and bias; False where the type of the weight does not hold them."""
        weight, dtype = linear.weight, linear.weight.dtype.numpy()

        def scaled() -> np.ndarray:
            with np.errstate(all="ignore"):
                return np.asarray((weight.numpy() * factor).astype(dtype))

        with np.errstate(all="ignore"):
            moved = np.broadcast_to(bias, (linear.channels,)).astype(dtype)
        scales = bool((factor != 1).any())
        if not np.isfinite(moved).all() or not np.isfinite(factor).all() or (scales and not _is_held(scaled())):
            return False
        node, old = linear.node, operand(linear.node, _BIAS)
        read = {value for value in (old, *step.inputs) if value is not None and constant_tensor(value) is not None}
        if scales:
            set_constant(linear.value, lazy(scaled, weight.dtype, linear.shape, linear.value.name or ""))
        if linear.bias is None and not moved.any():
            return True
        gone = [value for value in read if all(use.node in (step, node) for use in value.uses())]
        size = sum(stored_bytes(v, t) for v in gone if (t := constant_tensor(v)) is not None)
        if old is not None and old in gone and not old.is_graph_output() and linear.old_bias().shape == moved.shape:
            set_constant(old, ir.Tensor(moved))
            note_bytes(old, size)
            return True
        draft = Draft(self._free_names())
        fresh = draft.constant(moved, "bias")
        node.resize_inputs(max(len(node.inputs), _BIAS + 1))
        node.replace_input_with(_BIAS, fresh)
        insert_before(self._model, home_of(node), draft, node)
        note_bytes(fresh, size)
        if old is not None:
            drop_if_unread(old)
        return True

    def _free_names(self) -> Names:
        self._names = self._names or Names(self._model)
        return self._names


# ------------------------------------------------------------------------------------------------ what there is
def _linear(node: ir.Node) -> _Linear | None:
    """None where the weight or the bias is no constant of its own."""
    op, turned = standard_op(node) or "", int_of(node, "transB", 0)
    value, bias = operand(node, 1), operand(node, _BIAS)
    single = value is not None and is_read_once(value)
    weight, held = float_constant(value) if single else None, float_constant(bias)
    if weight is None or (bias is not None and held is None) or (op == "Gemm" and turned is None):
        return None
    axis = 0 if op == "Gemm" and turned else _CHANNEL_AXIS[op]
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


def _is_held(scaled: np.ndarray) -> bool:
    """False where some are infinite, or even the largest has lost digits."""
    peak = float(np.abs(scaled).max(initial=0))
    return math.isfinite(peak) and (peak == 0 or peak >= smallest_normal(scaled.dtype))


# ------------------------------------------------------------------------------------------------ what is gone
def _take_over(node: ir.Node, step: ChannelStep) -> None:
    """The result of the linear node takes the name and the readers of that of the step, which goes."""
    result, later = node.outputs[0], step.node.outputs[0]
    name = later.name
    later.replace_all_uses_with(result, replace_graph_outputs=True)
    result.type, result.shape = later.type or result.type, later.shape or result.shape
    remove_step(step)
    result.name = name
