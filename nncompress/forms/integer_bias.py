"""Biases as 32-bit integers, for nodes whose data and weight are rounded: integer kernels add them to their sums.

    b ~ (scale of the data * scale of the weight) * q

Where a bias would not fit 32 bits, the scale of that channel grows until it does; a channel of zeros takes any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from nncompress.model.activations import rounding_of
from nncompress.model.constants import constant_tensor
from nncompress.model.edit import Editor, drop_if_unread, home_of, insert_before
from nncompress.model.node_attributes import operand, standard_op
from nncompress.model.weights import Use, Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Plain

_BIAS = 2
_LARGEST = 2**30  # of codes: half of what 32 bits hold, as sums are added to it


def fitted(weight: Weight, affine: Affine) -> Affine:
    """The same weight with scales by which the biases of all its readers fit 32 bits."""
    needed = [bias / (_LARGEST * scale) for _, bias, scale in _biases(weight, affine)]
    if not needed:
        return affine
    channels = affine.scale.size
    least = np.max([np.abs(each) if channels > 1 else np.abs(each).max(keepdims=True) for each in needed], axis=0)
    zero = np.int32(0) if affine.zero_point is None else affine.zero_point.astype(np.int32)
    codes, shape = affine.codes.load().reshape(affine.codes_shape) - zero, affine.codes_shape
    flat_scale = affine.scale.reshape(-1).astype(np.float64)
    empty = ~codes.any(axis=tuple(axis for axis, size in enumerate(affine.scale.shape) if size == 1))
    wanted = np.where(empty.reshape(-1), np.maximum(least, np.finfo(np.float32).tiny), np.maximum(least, flat_scale))
    if np.array_equal(wanted, flat_scale):
        return affine
    scale = wanted.astype(np.float32).reshape(affine.scale.shape)
    ratio = (affine.scale / scale).astype(np.float64)
    scaled = np.rint(codes * np.minimum(ratio, 1)).astype(np.int32)
    recoded = (scaled + zero).astype(affine.code_type)
    return replace(affine, codes=Plain(recoded.reshape(shape)), scale=scale, nonzeros=int(np.count_nonzero(scaled)))


def store_biases(editor: Editor, weight: Weight, affine: Affine) -> None:
    """Puts the biases of all readers of `weight`, which is stored as `affine`, in front of them as integers."""
    for use, bias, data_scale in _biases(weight, affine):
        scale = affine.scale.reshape(-1 if affine.scale.size > 1 else ()) * np.float32(data_scale)
        codes = np.rint(bias / scale.astype(np.float64)).astype(np.int32)
        draft, old = editor.draft(), use.node.inputs[_BIAS]
        inputs = [
            draft.constant(codes, "b"), draft.constant(np.asarray(scale), "s"),
            draft.constant(np.zeros(scale.shape, np.int32), "z"),
        ]  # fmt: skip
        value = draft.node("DequantizeLinear", inputs, {"axis": 0} if scale.ndim else {})
        use.node.replace_input_with(_BIAS, value)
        insert_before(editor.model, home_of(use.node), draft, use.node)
        if old is not None:
            drop_if_unread(old)


def _biases(weight: Weight, affine: Affine) -> Iterator[tuple[Use, np.ndarray, float]]:
    """(reader, its bias [channels] in float64, the scale of its data) of those that add one to rounded data, and whose
    channels have the scales."""
    for use in weight.uses:
        rounding = rounding_of(operand(use.node, 0))
        tensor = constant_tensor(operand(use.node, _BIAS)) if standard_op(use.node) in ("Conv", "Gemm") else None
        fits = affine.scale.size == 1 or tuple(np.flatnonzero(np.array(affine.scale.shape) > 1)) == use.channel_axes
        if len(use.channel_axes) != 1 or not fits:
            continue
        if rounding is not None and tensor is not None and tensor.dtype == ir.DataType.FLOAT:
            yield use, _by_channel(weight, use, tensor.numpy().astype(np.float64)), rounding.scale


def _by_channel(weight: Weight, use: Use, bias: np.ndarray) -> np.ndarray:
    (axis,) = use.channel_axes
    return np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (weight.shape[axis],)))
