"""Form `dequantize`: codes and the standard DequantizeLinear, for NPUs and runtimes that look for it.

onnxruntime does not compute it at load: it runs before a Conv at every inference, and turns a MatMul into one with
int8 arithmetic. The zero point is always written: without one, older onnxruntimes compute some graphs wrongly and newer
ones fuse no Gemm. Opset 10 to 27, with one scale a channel from 13 on, with 4 bits and blocks from 21 on: a MatMul with
blocks of 4-bit codes becomes MatMulNBits in onnxruntime, which is faster than one of floats.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import ml_dtypes
import numpy as np
import onnx_ir as ir

from nncompress.forms.folded import reshaped, reshaped_bytes
from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.integer_bias import fitted, store_biases
from nncompress.forms.layouts import Layout, Payload, cheapest_layout
from nncompress.forms.numbers import tensor_bytes
from nncompress.model.activations import rounding_of
from nncompress.model.edit import Draft, Editor, put_in_place
from nncompress.model.model import op_name
from nncompress.model.node_attributes import operand
from nncompress.model.weights import Use, Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Moved, Reshaped

PER_CHANNEL_FROM_OPSET, FOUR_BITS_FROM_OPSET = 13, 21
BITS = (4, 8)
_FOUR_BITS = {True: np.dtype(ml_dtypes.int4), False: np.dtype(ml_dtypes.uint4)}
_NODE_BYTES, _MOVING_BYTES = 150, 150  # the second: Reshape, Transpose, Reshape
LAST_KNOWN_OPSET = 27  # onnxruntime 1.32 takes models of opset 28 and has no DequantizeLinear for them


class Dequantize:
    """See the module."""

    name: ClassVar[str] = "dequantize"
    holds: ClassVar[type] = Affine
    on_request: ClassVar[bool] = True
    least_opset: ClassVar[int] = 10
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = False

    def obstacle(self, weight: Weight, affine: Affine, storing: Storing) -> str | None:
        if storing.opset > LAST_KNOWN_OPSET:
            return f"onnxruntime has no DequantizeLinear of opset {storing.opset} on the CPU"
        if affine.bits not in BITS:
            return f"DequantizeLinear has 4 and 8 bits, not {affine.bits}"
        if affine.bits == 4 and storing.opset < FOUR_BITS_FROM_OPSET:
            return f"DequantizeLinear with 4 bits needs opset {FOUR_BITS_FROM_OPSET}, not {storing.opset}"
        if weight.lookups:
            return "DequantizeLinear before a lookup would decode the whole table at every inference"
        axes = _scaled_axes(affine)
        moved = len(axes) > 1 and not _are_first(axes) and _block_axis(affine) is None
        if any(_turned_before_vector(use, moved) for use in weight.uses):
            return "onnxruntime multiplies a transposed matrix that is no constant and a vector wrongly"
        if axes and any(_multiplied_across(use, axes) for use in weight.uses):
            return "onnxruntime would multiply it in integers by scales of other channels"
        if axes and storing.opset < PER_CHANNEL_FROM_OPSET:
            return (
                f"DequantizeLinear with one scale a channel needs opset {PER_CHANNEL_FROM_OPSET}, not {storing.opset}"
            )
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """DequantizeLinear takes a single axis, or blocks along one: codes with scales along others are stored as
        [channels, the rest]."""
        codes, shape, axes = affine.codes, affine.codes_shape, _scaled_axes(affine)
        if _block_axis(affine) is not None:
            shape = _merged(affine)
            codes = Reshaped(codes, shape)
        elif len(axes) > 1:
            rows = (affine.scale.size, math.prod(shape) // max(1, affine.scale.size))
            moved = codes if _are_first(axes) else Moved(codes, shape, _order(affine))
            codes, shape = Reshaped(moved, rows), rows
        return Payload(codes, shape, _stored_type(affine), nonzeros=None)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout, opset: int) -> int:
        zeros = tensor_bytes(affine.scale.size, _stored_type(affine))
        second = 0 if affine.input_scale is None else affine.input_scale.nbytes
        parameters = layout.size_bytes + affine.scale.nbytes + zeros + second
        if _block_axis(affine) is not None:
            return parameters + 8 * len(affine.shape) * (_merged(affine) != affine.shape)
        shape = 8 * len(affine.codes_shape) if len(_scaled_axes(affine)) > 1 else 0
        return parameters + shape + reshaped_bytes(affine)

    def node_bytes(self, affine: Affine, opset: int) -> int:
        return _NODE_BYTES + _MOVING_BYTES * (len(_scaled_axes(affine)) > 1 or affine.codes_shape != affine.shape)

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        fits = fitted(weight, affine)
        if fits is not affine:
            affine, layout = fits, cheapest_layout(self.payload(weight, fits), editor.model.opset)
        store_biases(editor, weight, affine)
        draft = editor.draft()
        axes, codes, block_axis = _scaled_axes(affine), layout.draft(draft), _block_axis(affine)
        shape: tuple[int, ...] = (-1,) if axes else ()
        attributes: dict[str, object] = {"axis": 0 if len(axes) > 1 else axes[0]} if axes else {}
        if block_axis is not None:
            shape = (*affine.scale.shape[: block_axis + 1], *affine.scale.shape[block_axis + 2 :])
            attributes = {"axis": block_axis, "block_size": affine.codes_shape[block_axis + 1]}
        zeros = np.broadcast_to(0 if affine.zero_point is None else affine.zero_point, affine.scale.shape)
        parameters = affine.scale.reshape(shape), zeros.astype(_stored_type(affine)).reshape(shape)
        inputs = [codes, *(draft.constant(one, prefix) for one, prefix in zip(parameters, "sz", strict=True))]
        value = draft.node("DequantizeLinear", inputs, attributes)
        if block_axis is not None:
            affine = replace(affine, codes_shape=_merged(affine))
        elif len(axes) > 1:
            value = _moved_back(draft, affine, value)
        if affine.input_scale is not None:
            value = draft.node("Mul", [value, draft.constant(affine.input_scale, "s")])
        value = reshaped(draft, affine, value)
        if weight.dtype != ir.DataType.FLOAT:
            value = draft.node("Cast", [value], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)


def _turned_before_vector(use: Use, moved: bool) -> bool:
    """True for a MatMul with something between the weight and its left side, and maybe a vector on the right."""
    if (use.direct and not moved) or op_name(use.node) != "MatMul" or use.index != 0:
        return False
    right = use.node.inputs[1]
    return right is None or right.shape is None or len(right.shape) < 2


def _multiplied_across(use: Use, axes: tuple[int, ...]) -> bool:
    """True for rounded data times a matrix whose scales do not go with the columns of the result: onnxruntime takes
    them for those."""
    of_matrix = use.direct and use.index == 1 and op_name(use.node) in ("Gemm", "MatMul")
    return of_matrix and use.channel_axes != axes and rounding_of(operand(use.node, 0)) is not None


def _stored_type(affine: Affine) -> np.dtype:
    return _FOUR_BITS[affine.signed] if affine.bits == 4 else affine.code_type


def _block_axis(affine: Affine) -> int | None:
    """The axis of the blocks, behind which lies that of what is in a block, where those are all there is: every other
    axis has a scale for each index. None where DequantizeLinear has no blocks for that."""
    shape, codes = affine.scale.shape, affine.codes_shape
    shared = [axis for axis, d in enumerate(codes) if d > 1 and shape[axis] == 1]
    if affine.bits == 8 or len(codes) == len(affine.shape) or len(shared) != 1 or shared[0] == 0:
        return None
    axis = shared[0] - 1
    return axis if shape[axis] > 1 and affine.input_scale is None else None


def _merged(affine: Affine) -> tuple[int, ...]:
    """The shape of the codes with blocks one after the other."""
    axis, codes = _block_axis(affine), affine.codes_shape
    assert axis is not None, "of blocks"
    return (*codes[:axis], codes[axis] * codes[axis + 1], *codes[axis + 2 :])


def _scaled_axes(affine: Affine) -> tuple[int, ...]:
    """The axes along which the scale varies."""
    return tuple(axis for axis, d in enumerate(affine.scale.shape) if d > 1)


def _are_first(axes: tuple[int, ...]) -> bool:
    return axes == tuple(range(len(axes)))


def _order(affine: Affine) -> tuple[int, ...]:
    """The axes of the codes, those along which the scale varies first."""
    axes = _scaled_axes(affine)
    return (*axes, *(axis for axis in range(len(affine.codes_shape)) if axis not in axes))


def _moved_back(draft: Draft, affine: Affine, rows: ir.Value) -> ir.Value:
    """[channels, the rest] in the shape of the codes."""
    order = _order(affine)
    shape = np.array([affine.codes_shape[axis] for axis in order], np.int64)
    value = draft.node("Reshape", [rows, draft.constant(shape, "i")])
    if _are_first(_scaled_axes(affine)):
        return value
    return draft.node("Transpose", [value], {"perm": np.argsort(order).tolist()})
