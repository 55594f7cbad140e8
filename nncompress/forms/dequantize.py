"""Form `dequantize`: codes and the standard DequantizeLinear, for NPUs and runtimes that look for it.

onnxruntime does not compute it at load: it runs before a Conv at every inference, and turns a MatMul into one with
int8 arithmetic. Least opset 10, with one scale a channel 13.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft
from nncompress.model.model import op_name
from nncompress.model.weights import Use, Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Held

LEAST_OPSET = {"tensor": 10, "channel": 13}


class _Rows:
    """Codes seen as [channels, the rest]."""

    def __init__(self, codes: Held, channels: int) -> None:
        self._codes, self._channels = codes, channels

    def load(self) -> np.ndarray:
        return self._codes.load().reshape(self._channels, -1)


def obstacle(weight: Weight, affine: Affine, opset: int) -> str | None:
    """Why this form cannot hold `affine`; None if it can."""
    if any(map(_turned_before_vector, weight.uses)):
        return "onnxruntime multiplies a transposed matrix that is no constant and a vector wrongly"
    axes = scaled_axes(affine)
    needed = LEAST_OPSET["channel" if axes else "tensor"]
    if opset < needed:
        return f"DequantizeLinear needs opset {needed} for this and the model has {opset}"
    if len(axes) > 1 and axes != tuple(range(len(axes))):
        return "DequantizeLinear cannot scale along two axes that are not the first ones"
    return None


def _turned_before_vector(use: Use) -> bool:
    """True for a MatMul with something between the weight and its left side, and maybe a vector on the right."""
    if use.direct or op_name(use.node) != "MatMul" or use.index != 0:
        return False
    right = use.node.inputs[1]
    return right is None or right.shape is None or len(right.shape) < 2


def scaled_axes(affine: Affine) -> tuple[int, ...]:
    """The axes along which the scale varies."""
    return tuple(axis for axis, d in enumerate(affine.scale.shape) if d > 1)


def needs_rows(affine: Affine) -> bool:
    """True if the codes are stored as [channels, the rest]: DequantizeLinear takes a single axis."""
    return len(scaled_axes(affine)) > 1


def rows_of(affine: Affine) -> tuple[Held, tuple[int, ...]]:
    """The codes as [channels, the rest], and that shape."""
    channels = affine.scale.size
    return _Rows(affine.codes, channels), (channels, math.prod(affine.shape) // max(1, channels))


def decode(draft: Draft, codes: ir.Value, affine: Affine, dtype: ir.DataType) -> ir.Value:
    """Drafts the float weight, in the type of the original; `codes` as `needs_rows` says."""
    axes = scaled_axes(affine)
    inputs = [codes, draft.constant(affine.scale.reshape(-1) if axes else affine.scale.reshape(()), "s")]
    if affine.zero_point is not None or not affine.signed:
        zero = np.zeros_like(affine.scale) if affine.zero_point is None else affine.zero_point
        zero = zero.astype(np.int8 if affine.signed else np.uint8)
        inputs.append(draft.constant(zero.reshape(-1) if axes else zero.reshape(()), "z"))
    value = draft.node("DequantizeLinear", inputs, {"axis": 0 if needs_rows(affine) else axes[0]} if axes else {})
    if needs_rows(affine):
        value = draft.node("Reshape", [value, draft.constant(np.array(affine.shape, np.int64), "i")])
    if affine.input_scale is not None:
        value = draft.node("Mul", [value, draft.constant(affine.input_scale, "s")])
    return value if dtype == ir.DataType.FLOAT else draft.node("Cast", [value], {"to": int(dtype)})
