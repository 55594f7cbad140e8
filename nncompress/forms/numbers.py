"""How the numbers of an array lie one after the other in a constant: as they are, or packed, and unpacked at load.

packed, for each plane:   BitwiseAnd, BitShift to the right         from opset 18 on, in bytes
                          Cast, Div, Mod                            before, as int32
planes of one code:       high * 2^width + low

No quotient of bytes may have a remainder, nor a bit be shifted out of one: OpenVINO rounds the one to the nearest, and
keeps the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft
from nncompress.model.tensors import lazy
from nncompress.numerics.packing import pack, packed_bytes, plane_widths

LEAST_PACKED_OPSET = 11
_MASKED_FROM = 18  # BitwiseAnd
INDEX_BYTES = 8  # of one number of a shape, an axis, a start or an end
_PLANE_NODE_BYTES, _JOIN_NODE_BYTES = 330, 260  # nodes, names and headers; measured, rounded up


def tensor_bytes(count: int, dtype: np.dtype) -> int:
    """Of so many numbers in an ONNX tensor, in which those of 4 bits lie two in a byte."""
    return -(-count * ir.DataType.from_numpy(dtype).bitwidth // 8)


@dataclass(frozen=True)
class Numbers:
    """Of `dtype`, in whole bytes; or integers of `bits` (1 to 7) that are packed, and unpacked as `opset` has it."""

    dtype: np.dtype
    opset: int
    bits: int | None = None

    @property
    def _masks(self) -> bool:
        return self.opset >= _MASKED_FROM

    @property
    def offset(self) -> int:
        """By how much signed ones are too large when they come back: packed, they have no sign."""
        return 2 ** (self.bits - 1) if self.bits is not None and self.dtype == np.int8 else 0

    def size_bytes(self, count: int, rank: int = 1) -> int:
        """Of all constants of `count` numbers in an array of so many axes, exactly."""
        if self.bits is None:
            return tensor_bytes(count, self.dtype)
        widths = plane_widths(self.bits)
        each = sum(8 // width for width in widths)
        shifts = 2 * each if self._masks else 4 * (each + len(widths))
        rows = INDEX_BYTES + 4 * (len(widths) - 1) if len(widths) > 1 else 0
        ends = 2 * INDEX_BYTES + INDEX_BYTES * (len(widths) == 1) if count % 8 else 0
        return packed_bytes(count, self.bits) + shifts + rows + ends + INDEX_BYTES * rank

    @property
    def node_bytes(self) -> int:
        """Nodes, names and headers, estimated."""
        planes = 0 if self.bits is None else len(plane_widths(self.bits))
        return planes * _PLANE_NODE_BYTES + max(0, planes - 1) * _JOIN_NODE_BYTES

    def draft(self, draft: Draft, load: Callable[[], np.ndarray], shape: tuple[int, ...]) -> ir.Value:
        """The array of `shape` that `load` has, with `offset` added."""
        if self.bits is None:
            return draft.constant(lazy(load, ir.DataType.from_numpy(self.dtype), shape, ""), "q")
        count, widths = math.prod(shape), plane_widths(self.bits)
        value = self._plane(draft, load, 0, count)
        if len(widths) > 1 or count % 8:
            row = draft.constant(np.array([-1], np.int64), "i")
            value = draft.node("Reshape", [value, row])
            for place, width in enumerate(widths[1:], 1):
                low = draft.node("Reshape", [self._plane(draft, load, place, count), row])
                high = draft.node("Mul", [self._whole(draft, value), draft.constant(np.array(2**width, np.int32), "p")])
                value = draft.node("Add", [high, self._whole(draft, low)])
        if count % 8:
            ends = (draft.constant(np.array([end], np.int64), "i") for end in (0, count))
            value = draft.node("Slice", [value, *ends])
        return draft.node("Reshape", [value, draft.constant(np.array(shape, np.int64), "i")])

    def zero(self) -> np.ndarray:
        """What stands for 0 in what `draft` yields, [1]."""
        if self.bits is None:
            return np.zeros(1, self.dtype)
        in_bytes = self._masks and len(plane_widths(self.bits)) == 1
        return np.full(1, self.offset, np.uint8 if in_bytes else np.int32)

    def _plane(self, draft: Draft, load: Callable[[], np.ndarray], place: int, count: int) -> ir.Value:
        """The numbers of one plane, [bytes, numbers in a byte], uint8 or int32."""
        assert self.bits is not None, "planes are of packed numbers"
        bits, width = self.bits, plane_widths(self.bits)[place]
        size = packed_bytes(count, width)

        def packed() -> np.ndarray:
            return pack(load().reshape(-1), bits, self.offset)[place].reshape(-1, 1)

        column = draft.constant(lazy(packed, ir.DataType.UINT8, (size, 1), ""), "q")
        places, largest = np.arange(8 - width, -1, -width, dtype=np.uint8), 2**width - 1
        if self._masks:
            masks = draft.constant(np.array(largest, np.uint8) << places, "p")
            alone = draft.node("BitwiseAnd", [column, masks])
            return draft.node("BitShift", [alone, draft.constant(places, "p")], {"direction": "RIGHT"})
        whole = draft.node("Cast", [column], {"to": int(ir.DataType.INT32)})
        ending = draft.node("Div", [whole, draft.constant(np.int32(1) << places.astype(np.int32), "p")])
        return draft.node("Mod", [ending, draft.constant(np.array(largest + 1, np.int32), "p")])

    def _whole(self, draft: Draft, value: ir.Value) -> ir.Value:
        """Of a plane, as int32."""
        return draft.node("Cast", [value], {"to": int(ir.DataType.INT32)}) if self._masks else value
