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
SPARSE_OVERHEAD_BYTES = 600  # nodes and small constants of a sparse layout; measured, rounded up
BFLOAT16_FILLED_FROM = 20  # the opset in which ConstantOfShape learned it
LEAST_OPSET = {"dense": 7, "sparse-gaps": 11, "sparse-mask": 11}


@dataclass(frozen=True)
class Layout:
    """A way to lay out one array: its name, its payload bytes, and what drafts it."""

    name: str
    size_bytes: int
    draft: Callable[[Draft], ir.Value]


def cheapest_layout(held: Held, shape: tuple[int, ...], dtype: np.dtype, nonzeros: int | None, opset: int) -> Layout:
    """The smallest layout that the opset allows; `nonzeros` None: not sparse, do not look."""
    size, width = math.prod(shape), dtype.itemsize
    dense = Layout("dense", size * width, lambda draft: _dense(draft, held, shape, dtype))
    sparse_fits = opset >= LEAST_OPSET["sparse-gaps"] and 4 * size <= LARGEST_FOLDED_BYTES
    if nonzeros is None or not sparse_fits or nonzeros * width >= dense.size_bytes:
        return dense
    mask = -(-size // 8) + (nonzeros + 1) * width + SPARSE_OVERHEAD_BYTES
    options = [dense, Layout("sparse-mask", mask, lambda draft: _mask(draft, held.load(), shape))]
    fills = opset >= BFLOAT16_FILLED_FROM or dtype != ml_dtypes.bfloat16
    if fills and nonzeros * (width + 1) + SPARSE_OVERHEAD_BYTES < min(mask, dense.size_bytes):
        gaps = entries_with_gaps(held.load() != 0) * (width + 1) + SPARSE_OVERHEAD_BYTES
        options.append(Layout("sparse-gaps", gaps, lambda draft: _gaps(draft, held.load(), shape)))
    return min(options, key=lambda layout: layout.size_bytes)


def _dense(draft: Draft, held: Held, shape: tuple[int, ...], dtype: np.dtype) -> ir.Value:
    return draft.constant(lazy(held.load, ir.DataType.from_numpy(dtype), shape, ""), "q")


def _gaps(draft: Draft, array: np.ndarray, shape: tuple[int, ...]) -> ir.Value:
    gaps, values = gaps_and_values(array)
    places = _running_sum(draft, draft.node("Cast", [draft.constant(gaps, "g")], {"to": int(ir.DataType.INT32)}))
    zero = ir.Tensor(np.zeros(1, array.dtype))
    zeros = draft.node("ConstantOfShape", [_integers(draft, [array.size])], {"value": zero})
    dense = draft.node("ScatterElements", [zeros, places, draft.constant(values, "q")], {"axis": 0})
    return draft.node("Reshape", [dense, _integers(draft, shape)])


def _mask(draft: Draft, array: np.ndarray, shape: tuple[int, ...]) -> ir.Value:
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
