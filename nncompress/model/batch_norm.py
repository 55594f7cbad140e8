"""Multiplies batch normalisation into the weights in front of it, as every runtime does at load.

A BatchNormalization that alone reads the result of Conv, ConvTranspose or Gemm is a factor and a shift a channel:

    y = scale (conv(x, W) + b - mean) / sqrt(var + epsilon) + shift
      = conv(x, W f) + (b - mean) f + shift                          with f = scale / sqrt(var + epsilon)

Four constants become one bias. Only where all of them are finite constants and the weight has no other reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_tensor, float_constant, note_bytes, stored_bytes
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.encoding import set_constant
from nncompress.model.model import Model
from nncompress.model.node_attributes import float_of, int_of, operand, standard_op
from nncompress.model.tensors import lazy

_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}  # of the weight
_EPSILON = 1e-5
_BIAS = 2


@dataclass(frozen=True)
class _Foldable:
    """A node and the normalisation behind it."""

    linear: ir.Node
    norm: ir.Node
    axis: int  # of the channels in the weight
    factor: np.ndarray  # [channels], float64
    shift: np.ndarray

    @property
    def weight(self) -> ir.Value:
        value = self.linear.inputs[1]
        assert value is not None, "a weight is there"
        return value


def fold_batch_norms(model: Model) -> int:
    """In place; returns how many normalisations are gone."""
    names: Names | None = None
    count = 0
    for scope in list(model.scopes()):
        for node in [node for node in scope if standard_op(node) == "BatchNormalization"]:
            foldable = _foldable(node)
            if foldable is not None:
                names = names or Names(model)
                count += _fold(model, foldable, names)
    return count


def _foldable(norm: ir.Node) -> _Foldable | None:
    """None where the normalisation is not alone behind a linear node, or anything is no constant."""
    value = operand(norm, 0)
    linear = value.producer() if value is not None else None
    used = [out for out in norm.outputs[1:] if out.name or out.uses()]
    if linear is None or value is None or used or len(value.uses()) != 1 or value.is_graph_output():
        return None
    op = standard_op(linear) or ""
    if op not in _CHANNEL_AXIS or linear.graph is not norm.graph or not _is_plain(linear, norm):
        return None
    weight = _alone(operand(linear, 1))
    parameters = [float_constant(operand(norm, index)) for index in (1, 2, 3, 4)]
    epsilon = float_of(norm, "epsilon", _EPSILON)
    if weight is None or epsilon is None or any(parameter is None for parameter in parameters):
        return None
    axis = 0 if op == "Gemm" and int_of(linear, "transB", 0) else _CHANNEL_AXIS[op]
    with np.errstate(all="ignore"):  # NaN of all kinds
        scale, shift, mean, variance = (p.numpy().astype(np.float64) for p in parameters if p is not None)
    if len(weight.shape) <= axis or any(p.shape != (weight.shape[axis],) for p in (scale, shift, mean, variance)):
        return None
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + epsilon)
        return _Foldable(linear, norm, axis, factor, shift - mean * factor)


def _is_plain(linear: ir.Node, norm: ir.Node) -> bool:
    """True without options of either that change what a channel is, or how often the bias counts."""
    whole = int_of(norm, "training_mode", 0) == 0 and int_of(norm, "spatial", 1) == 1
    if linear.op_type == "ConvTranspose":
        return whole and int_of(linear, "group", 1) == 1
    return whole and (linear.op_type == "Conv" or float_of(linear, "beta", 1.0) == 1.0)


def _alone(value: ir.Value | None) -> ir.TensorProtocol | None:
    """A constant that nothing else reads."""
    single = value is not None and len(value.uses()) == 1 and not value.is_graph_output()
    return float_constant(value) if single else None


def _fold(model: Model, found: _Foldable, names: Names) -> bool:
    """True if everything stays finite in the type of the weight."""
    weight, bias = float_constant(found.weight), operand(found.linear, _BIAS)
    old = float_constant(bias)
    if weight is None or (bias is not None and old is None):
        return False
    dtype = weight.dtype.numpy()
    with np.errstate(all="ignore"):
        before = old.numpy().astype(np.float64) if old is not None else np.zeros(1)
    if before.shape not in ((1,), found.factor.shape):
        return False
    along = [-1 if axis == found.axis else 1 for axis in range(len(weight.shape))]

    def scaled() -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray((weight.numpy() * found.factor.reshape(along)).astype(dtype))

    with np.errstate(all="ignore"):
        moved = (before * found.factor + found.shift).astype(dtype)
    if not np.isfinite(moved).all() or not np.isfinite(scaled()).all():
        return False
    draft = Draft(names)
    fresh = draft.constant(moved, "bias")
    read = {value for value in (bias, *found.norm.inputs[1:]) if value is not None}  # one may stand for two
    shape = tuple(int(d) for d in weight.shape.numpy())
    set_constant(found.weight, lazy(scaled, weight.dtype, shape, found.weight.name or ""))
    found.linear.resize_inputs(max(len(found.linear.inputs), _BIAS + 1))
    found.linear.replace_input_with(_BIAS, fresh)
    insert_before(model, home_of(found.linear), draft, found.linear)
    _take_over(found)
    note_bytes(fresh, sum(stored_bytes(v, t) for v in read if not v.uses() and (t := constant_tensor(v)) is not None))
    for value in read:
        drop_if_unread(value)
    return True


def _take_over(found: _Foldable) -> None:
    """The linear node's result takes the name and the readers of the normalised one, whose node goes."""
    result, normalised = found.linear.outputs[0], found.norm.outputs[0]
    name, scope = normalised.name, home_of(found.norm)
    normalised.replace_all_uses_with(result, replace_graph_outputs=True)
    result.type, result.shape = normalised.type or result.type, normalised.shape or result.shape
    scope.remove(found.norm, safe=True)
    result.name = name
