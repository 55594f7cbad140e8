"""How the array of an encoding (codes or pruned values) lies in the file: dense, or sparse and unfolded at load.

A layout drafts constants and nodes that yield the dense array. onnxruntime computes all of them once, when a session
is made, so that they cost file size only. The sparse layouts:

    sparse-gaps   values and 8-bit distances:   CumSum -> ScatterElements into zeros         nonzeros * (bytes + 1)
    sparse-mask   values and one bit a place:   unpack -> CumSum -> Gather                   nonzeros * bytes + n / 8
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft
from nncompress.model.tensors import lazy
from nncompress.numerics.held import Held
from nncompress.numerics.sparse import entries_with_gaps, gaps_and_values, mask_and_values

LARGEST_FOLDED_BYTES = 1 << 30  # onnxruntime folds no constant beyond that, and would decode at every inference
SPARSE_NODE_BYTES = 500  # nodes, names and headers of a sparse layout; measured, rounded up
BFLOAT16_FILLED_FROM = 20  # the opset in which ConstantOfShape learned it
LEAST_OPSET = {"dense": 7, "sparse-gaps": 11, "sparse-mask": 11}
_SHAPE_BYTES = 8  # of one number of a shape, an axis, a start or an end


@dataclass(frozen=True)
class Payload:
    """The large array of an encoding: of `dtype`, with `nonzeros` elements that are not zero (None: do not look)."""

    held: Held
    shape: tuple[int, ...]
    dtype: np.dtype
    nonzeros: int | None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """A way to lay out one array: its name, the bytes of its constants, and what drafts it."""

    name: str
    size_bytes: int  # of tensor data, exactly
    node_bytes: int  # nodes, names and headers, estimated
    draft: Callable[[Draft], ir.Value]

    @property
    def cost(self) -> int:
        """All its bytes in the file."""
        return self.size_bytes + self.node_bytes


def cheapest_layout(payload: Payload, opset: int) -> Layout:
    """The smallest layout that the opset allows, nodes counted in."""
    size, width, nonzeros = payload.size, payload.dtype.itemsize, payload.nonzeros
    dense = Layout("dense", size * width, 0, lambda draft: _dense(draft, payload))
    sparse_fits = opset >= LEAST_OPSET["sparse-gaps"] and 4 * size <= LARGEST_FOLDED_BYTES
    if nonzeros is None or not sparse_fits or nonzeros * width >= dense.size_bytes:
        return dense
    layouts = [dense, _mask_layout(payload, nonzeros)]
    fills = opset >= BFLOAT16_FILLED_FROM or payload.dtype != ml_dtypes.bfloat16
    if fills and _gaps_layout(payload, nonzeros).cost < min(layout.cost for layout in layouts):
        layouts.append(_gaps_layout(payload, entries_with_gaps(payload.held.load() != 0)))
    return min(layouts, key=lambda layout: layout.cost)


def _mask_layout(payload: Payload, nonzeros: int) -> Layout:
    width, size, rank = payload.dtype.itemsize, payload.size, len(payload.shape)
    powers, ends = 8 * 4 + 4, 2 * _SHAPE_BYTES if size % 8 else 0
    small = powers + ends + (1 + 1 + rank) * _SHAPE_BYTES  # -1, an axis, the shape
    data = -(-size // 8) + (nonzeros + 1) * width
    return Layout("sparse-mask", data + small, SPARSE_NODE_BYTES, lambda draft: _mask(draft, payload))


def _gaps_layout(payload: Payload, entries: int) -> Layout:
    small = (1 + 1 + len(payload.shape)) * _SHAPE_BYTES  # an axis, the size, the shape
    data = entries * (payload.dtype.itemsize + 1)
    return Layout("sparse-gaps", data + small, SPARSE_NODE_BYTES, lambda draft: _gaps(draft, payload))


def _dense(draft: Draft, payload: Payload) -> ir.Value:
    return draft.constant(lazy(payload.held.load, ir.DataType.from_numpy(payload.dtype), payload.shape, ""), "q")


def _gaps(draft: Draft, payload: Payload) -> ir.Value:
    array, shape = payload.held.load(), payload.shape
    gaps, values = gaps_and_values(array)
    places = _running_sum(draft, draft.node("Cast", [draft.constant(gaps, "g")], {"to": int(ir.DataType.INT32)}))
    zero = ir.Tensor(np.zeros(1, array.dtype))
    zeros = draft.node("ConstantOfShape", [_integers(draft, [array.size])], {"value": zero})
    dense = draft.node("ScatterElements", [zeros, places, draft.constant(values, "q")], {"axis": 0})
    return draft.node("Reshape", [dense, _integers(draft, shape)])


def _mask(draft: Draft, payload: Payload) -> ir.Value:
    array, shape = payload.held.load(), payload.shape
    mask, values = mask_and_values(array)
    # one column of bytes against a row of powers of two: element [i, j] is bit j of byte i
    column = draft.node("Cast", [draft.constant(mask.reshape(-1, 1), "m")], {"to": int(ir.DataType.INT32)})
    powers = draft.constant(2 ** np.arange(8, dtype=np.int32), "p")
    shifted = draft.node("Div", [column, powers])
    bits = draft.node("Mod", [shifted, draft.constant(np.array(2, np.int32), "p")])
    bits = draft.node("Reshape", [bits, _integers(draft, [-1])])
    if array.size % 8:
        bits = draft.node("Slice", [bits, _integers(draft, [0]), _integers(draft, [array.size])])
    # the rank of each set bit, counted from 1, and 0 elsewhere, picks from the values behind a leading zero
    picks = draft.node("Mul", [_running_sum(draft, bits), bits])
    table = draft.constant(np.concatenate([np.zeros(1, values.dtype), values]), "q")
    return draft.node("Reshape", [draft.node("Gather", [table, picks], {"axis": 0}), _integers(draft, shape)])


def _running_sum(draft: Draft, value: ir.Value) -> ir.Value:
    return draft.node("CumSum", [value, draft.constant(np.array(0, np.int64), "i")])


def _integers(draft: Draft, values: object) -> ir.Value:
    return draft.constant(np.array(values, np.int64), "i")
