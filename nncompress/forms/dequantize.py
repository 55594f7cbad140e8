"""Form `dequantize`: codes and the standard DequantizeLinear, for NPUs and runtimes that look for it.

onnxruntime does not compute it at load: it runs before a Conv at every inference, and turns a MatMul into one with
int8 arithmetic. The zero point is always written: without one, older onnxruntimes compute some graphs wrongly and newer
ones fuse no Gemm. Opset 10 to 27, with one scale a channel from 13 on.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.model import op_name
from nncompress.model.weights import Use, Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Reshaped

PER_CHANNEL_FROM_OPSET = 13
LAST_KNOWN_OPSET = 27  # onnxruntime 1.32 takes models of opset 28 and has no DequantizeLinear for them


class Dequantize:
    """See the module."""

    name: ClassVar[str] = "dequantize"
    holds: ClassVar[type] = Affine
    on_request: ClassVar[bool] = True
    least_opset: ClassVar[int] = 10
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = False
    node_bytes: ClassVar[int] = 150

    def obstacle(self, weight: Weight, affine: Affine, storing: Storing) -> str | None:
        if storing.opset > LAST_KNOWN_OPSET:
            return f"onnxruntime has no DequantizeLinear of opset {storing.opset} on the CPU"
        if weight.lookups:
            return "DequantizeLinear before a lookup would decode the whole table at every inference"
        if any(map(_turned_before_vector, weight.uses)):
            return "onnxruntime multiplies a transposed matrix that is no constant and a vector wrongly"
        axes = _scaled_axes(affine)
        if axes and storing.opset < PER_CHANNEL_FROM_OPSET:
            return (
                f"DequantizeLinear with one scale a channel needs opset {PER_CHANNEL_FROM_OPSET}, not {storing.opset}"
            )
        if len(axes) > 1 and axes != tuple(range(len(axes))):
            return "DequantizeLinear cannot scale along two axes that are not the first ones"
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """DequantizeLinear takes a single axis: codes with scales along several are stored as [channels, the rest]."""
        codes, shape = affine.codes, affine.shape
        if _needs_rows(affine):
            shape = (affine.scale.size, math.prod(affine.shape) // max(1, affine.scale.size))
            codes = Reshaped(codes, shape)
        return Payload(codes, shape, affine.code_type, nonzeros=None)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout) -> int:
        zeros = affine.scale.size * affine.code_type.itemsize
        shape = 8 * len(affine.shape) if _needs_rows(affine) else 0
        second = 0 if affine.input_scale is None else affine.input_scale.nbytes
        return layout.size_bytes + affine.scale.nbytes + zeros + shape + second

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        draft = editor.draft()
        axes, codes = _scaled_axes(affine), layout.draft(draft)
        parameters = (-1,) if axes else ()
        zeros = np.zeros_like(affine.scale) if affine.zero_point is None else affine.zero_point
        inputs = [
            codes,
            draft.constant(affine.scale.reshape(parameters), "s"),
            draft.constant(zeros.astype(affine.code_type).reshape(parameters), "z"),
        ]
        value = draft.node("DequantizeLinear", inputs, {"axis": 0 if _needs_rows(affine) else axes[0]} if axes else {})
        if _needs_rows(affine):
            value = draft.node("Reshape", [value, draft.constant(np.array(affine.shape, np.int64), "i")])
        if affine.input_scale is not None:
            value = draft.node("Mul", [value, draft.constant(affine.input_scale, "s")])
        if weight.dtype != ir.DataType.FLOAT:
            value = draft.node("Cast", [value], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)


def _turned_before_vector(use: Use) -> bool:
    """True for a MatMul with something between the weight and its left side, and maybe a vector on the right."""
    if use.direct or op_name(use.node) != "MatMul" or use.index != 0:
        return False
    right = use.node.inputs[1]
    return right is None or right.shape is None or len(right.shape) < 2


def _scaled_axes(affine: Affine) -> tuple[int, ...]:
    """The axes along which the scale varies."""
    return tuple(axis for axis, d in enumerate(affine.scale.shape) if d > 1)


def _needs_rows(affine: Affine) -> bool:
    return len(_scaled_axes(affine)) > 1
