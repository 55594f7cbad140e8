"""Form `dequantize`: codes and the standard DequantizeLinear, for NPUs and runtimes that look for it.

onnxruntime does not compute it at load: it runs before a Conv at every inference, and turns a MatMul into one with
int8 arithmetic. The zero point is always written: without one, older onnxruntimes compute some graphs wrongly and newer
ones fuse no Gemm. Opset 10 to 27, with one scale a channel from 13 on, with 4 bits and blocks from 21 on, with 2 bits
from 25 on: a MatMul with blocks of such codes becomes MatMulNBits in onnxruntime, which is faster than one of floats
where one row is multiplied. Where a pass has the product computed in integers of 8 bits, codes of fewer are unpacked to
those at load, by other nodes.
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
from nncompress.forms.layouts import Layout, Payload, integers, integers_bytes
from nncompress.forms.numbers import tensor_bytes
from nncompress.model.activations import rounding_of
from nncompress.model.edit import Draft, Editor, put_in_place
from nncompress.model.encoding import packs_for
from nncompress.model.model import op_name
from nncompress.model.moves import moves
from nncompress.model.node_attributes import int_of, operand
from nncompress.model.weights import Use, Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Moved, Reshaped

PER_CHANNEL_FROM_OPSET = 13
BITS = (2, 4, 8)
FROM_OPSET = {2: 25, 4: 21}
"""By bits, for fewer than 8: the opset from which on there are such integers."""
_FROM_IR = {2: 13, 4: 10}  # the IR version that names their types
_TYPES: dict[tuple[int, bool], np.dtype] = {
    (2, True): np.dtype(ml_dtypes.int2), (2, False): np.dtype(ml_dtypes.uint2),
    (4, True): np.dtype(ml_dtypes.int4), (4, False): np.dtype(ml_dtypes.uint4),
}  # fmt: skip
_COLUMNS_OF_TWO_BITS = 4  # onnxruntime 1.32 multiplies by 2-bit matrices of other numbers of columns wrongly
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
        packed = packs_for(weight.value, Dequantize.name)
        if affine.bits not in BITS and not packed:
            return f"DequantizeLinear has 2, 4 and 8 bits, not {affine.bits}"
        if not packed and storing.opset < (needed := FROM_OPSET.get(affine.bits, self.least_opset)):
            return f"DequantizeLinear with {affine.bits} bits needs opset {needed}, not {storing.opset}"
        if weight.lookups:
            return "DequantizeLinear before a lookup would decode the whole table at every inference"
        axes = _scaled_axes(affine)
        moved = len(axes) > 1 and not _are_first(axes) and _block_axis(affine) is None
        if any(_turned_before_vector(use, moved) for use in weight.uses):
            return "onnxruntime multiplies a transposed matrix that is no constant and a vector wrongly"
        if axes and any(_multiplied_across(use, axes) for use in weight.uses):
            return "onnxruntime would multiply it in integers by scales of other channels"
        if affine.bits == 2 and not packed and (reason := _obstacle_to_two_bits(weight, affine)):
            return reason
        if axes and storing.opset < PER_CHANNEL_FROM_OPSET:
            return (
                f"DequantizeLinear with one scale a channel needs opset {PER_CHANNEL_FROM_OPSET}, not {storing.opset}"
            )
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """DequantizeLinear takes a single axis, or blocks along one: codes with scales along others are stored as
        [channels, the rest]."""
        affine = fitted(weight, affine)
        codes, shape, axes = affine.codes, affine.codes_shape, _scaled_axes(affine)
        if _block_axis(affine) is not None:
            shape = _merged(affine)
            codes = Reshaped(codes, shape)
        elif len(axes) > 1:
            rows = (affine.scale.size, math.prod(shape) // max(1, affine.scale.size))
            moved = codes if _are_first(axes) else Moved(codes, shape, _order(affine))
            codes, shape = Reshaped(moved, rows), rows
        if packs_for(weight.value, Dequantize.name):
            return Payload.of_products(affine, codes, shape)
        return Payload(codes, shape, _stored_type(weight, affine), nonzeros=None)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout, opset: int) -> int:
        zeros = tensor_bytes(affine.scale.size, _stored_type(weight, affine))
        second = 0 if affine.input_scale is None else affine.input_scale.nbytes
        parameters = layout.size_bytes + integers_bytes(layout) + affine.scale.nbytes + zeros + second
        if _block_axis(affine) is not None:
            return parameters + 8 * len(affine.shape) * (_merged(affine) != affine.shape)
        shape = 8 * len(affine.codes_shape) if len(_scaled_axes(affine)) > 1 else 0
        return parameters + shape + reshaped_bytes(affine)

    def node_bytes(self, affine: Affine, opset: int) -> int:
        return _NODE_BYTES + _MOVING_BYTES * (len(_scaled_axes(affine)) > 1 or affine.codes_shape != affine.shape)

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        affine = fitted(weight, affine)
        store_biases(editor, weight, affine)
        draft = editor.draft()
        dtype, axes, block_axis = _stored_type(weight, affine), _scaled_axes(affine), _block_axis(affine)
        codes = integers(draft, layout, dtype)
        shape: tuple[int, ...] = (-1,) if axes else ()
        attributes: dict[str, object] = {"axis": 0 if len(axes) > 1 else axes[0]} if axes else {}
        if block_axis is not None:
            shape = (*affine.scale.shape[: block_axis + 1], *affine.scale.shape[block_axis + 2 :])
            attributes = {"axis": block_axis, "block_size": affine.codes_shape[block_axis + 1]}
        zeros = np.broadcast_to(0 if affine.zero_point is None else affine.zero_point, affine.scale.shape)
        parameters = affine.scale.reshape(shape), zeros.astype(dtype).reshape(shape)
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
        if dtype != affine.code_type:
            editor.model.ir.ir_version = max(editor.model.ir.ir_version, _FROM_IR[affine.bits])


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


def _obstacle_to_two_bits(weight: Weight, affine: Affine) -> str | None:
    """What onnxruntime 1.32 gets wrong with 2 bits and right with 4 and 8."""
    columns = [count for use in weight.uses if (count := _columns(use, weight)) % _COLUMNS_OF_TWO_BITS]
    if columns:
        wrongly = f"onnxruntime multiplies by 2-bit matrices of {columns[0]} columns wrongly"
        return f"{wrongly}: only multiples of {_COLUMNS_OF_TWO_BITS} are right"
    if _block_axis(affine) is None and _is_turned(weight.value):
        return "onnxruntime loads no 2-bit integers that a Transpose reads"
    return None


def _columns(use: Use, weight: Weight) -> int:
    """Those of the matrix on the right of a product that may become MatMulNBits; 0 where it does not."""
    if use.op not in ("MatMul", "Gemm") or (use.rank is not None and use.rank != 2):
        return 0
    is_operator = op_name(use.node) == use.op  # and no call of a function
    if is_operator and (use.index != 1 or (use.direct and int_of(use.node, "transB", 0))):
        return 0
    return math.prod(weight.shape[axis] for axis in use.channel_axes)


def _is_turned(value: ir.Value) -> bool:
    """True where a Transpose reads it, maybe behind others that only move values: onnxruntime moves it in front of
    DequantizeLinear, and computes it at load."""
    readers = (use.node for use in value.uses() if use.idx == 0 and moves(use.node))
    return any(node.op_type == "Transpose" or _is_turned(node.outputs[0]) for node in readers)


def _stored_type(weight: Weight, affine: Affine) -> np.dtype:
    if packs_for(weight.value, Dequantize.name):
        return affine.code_type
    return _TYPES.get((affine.bits, affine.signed), affine.code_type)


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
