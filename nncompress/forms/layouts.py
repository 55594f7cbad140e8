"""How the array of an encoding (codes or pruned values) lies in the file: dense, or sparse and unfolded at load.

A layout drafts constants and nodes that yield the dense array. onnxruntime computes all of them once, when a session
is made, so that they cost file size only. Codes of less than a byte are packed, in each of them:

    dense         every number                                                               n * width
    sparse-gaps   values and distances:         CumSum -> ScatterElements into zeros       nonzeros * (width + 1/2 or 1)
    sparse-mask   values and one bit a place:   unpack -> CumSum -> Gather                   nonzeros * width + n / 8
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir

from nncompress.forms.numbers import INDEX_BYTES, LEAST_PACKED_OPSET, Numbers
from nncompress.model.edit import Draft
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Held, Plain
from nncompress.numerics.sparse import GAP_BITS, entries_with_gaps, gaps_and_values, mask_and_values

LARGEST_FOLDED_BYTES = 1 << 30  # onnxruntime folds no constant beyond that, and would decode at every inference
SPARSE_NODE_BYTES = 600  # nodes, names and headers of a sparse layout; measured, rounded up
BFLOAT16_FILLED_FROM = 20  # the opset in which ConstantOfShape learned it
LEAST_OPSET = {"dense": 7, "sparse-gaps": 11, "sparse-mask": 11}


@dataclass(frozen=True)
class Payload:
    """The large array of an encoding: of `dtype`, with `nonzeros` elements that are not zero (None: do not look).

    `bits`: its integers have no more than so many (1 to 8), and may be packed; None: they lie there as they are.
    """

    held: Held
    shape: tuple[int, ...]
    dtype: np.dtype
    nonzeros: int | None
    bits: int | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @classmethod
    def of_products(cls, affine: Affine, held: Held, shape: tuple[int, ...]) -> Payload:
        """The codes of `affine` for a kernel of integers, rearranged as `held`: packed and sparse where they are
        unpacked at load."""
        folds = 4 * math.prod(shape) <= LARGEST_FOLDED_BYTES
        counts = affine.signed and affine.zero_point is None  # a code of 0 means 0
        return cls(held, shape, affine.code_type, affine.nonzeros if counts else None, affine.bits if folds else None)

    def numbers(self, opset: int) -> Numbers:
        """How they lie one after the other."""
        packs = self.bits is not None and self.bits < 8 and opset >= LEAST_PACKED_OPSET
        return Numbers(self.dtype, opset, self.bits if packs else None)


@dataclass(frozen=True)
class Layout:
    """A way to lay out one array: its name, the bytes of its constants, and what drafts it."""

    name: str
    size_bytes: int  # of tensor data, exactly
    node_bytes: int  # nodes, names and headers, estimated
    draft: Callable[[Draft], ir.Value]
    offset: int = 0  # by which all that it yields is too large
    packed: bool = False  # it yields integers of another type, maybe

    @property
    def cost(self) -> int:
        """All its bytes in the file."""
        return self.size_bytes + self.node_bytes


def expected_cost(size: int, bits: int, nonzeros: int, opset: int) -> int:
    """Bytes in the file of the cheapest layout of so many codes, zeros among them lying anywhere: an expectation, for
    where there are no codes yet."""
    payload = Payload(Plain(np.zeros(0, np.int8)), (size,), np.dtype(np.int8), nonzeros, bits)
    numbers = payload.numbers(opset)
    layouts = [_dense_layout(payload, numbers)]
    if 0 < nonzeros < size and opset >= LEAST_OPSET["sparse-gaps"]:
        layouts.append(_mask_layout(payload, numbers, nonzeros))
        for width in GAP_BITS:
            bridged = 1 - (1 - nonzeros / size) ** (2**width - 1)
            layouts.append(_gaps_layout(payload, numbers, math.ceil(nonzeros / bridged), width))
    return min(layout.cost for layout in layouts)


def cheapest_layout(payload: Payload, opset: int) -> Layout:
    """The smallest layout that the opset allows, nodes counted in."""
    numbers, nonzeros = payload.numbers(opset), payload.nonzeros
    dense = _dense_layout(payload, numbers)
    sparse_fits = opset >= LEAST_OPSET["sparse-gaps"] and 4 * payload.size <= LARGEST_FOLDED_BYTES
    if nonzeros is None or not sparse_fits or numbers.size_bytes(nonzeros) >= dense.size_bytes:
        return dense
    layouts = [dense, _mask_layout(payload, numbers, nonzeros)]
    fills = opset >= BFLOAT16_FILLED_FROM or payload.dtype != ml_dtypes.bfloat16
    for bits in GAP_BITS if fills else ():
        if _gaps_layout(payload, numbers, nonzeros, bits).cost < min(layout.cost for layout in layouts):
            entries = entries_with_gaps(payload.held.load() != 0, bits)
            layouts.append(_gaps_layout(payload, numbers, entries, bits))
    return min(layouts, key=lambda layout: layout.cost)


def integers(draft: Draft, layout: Layout, dtype: np.dtype) -> ir.Value:
    """What `layout` yields as kernels of integers take it: of `dtype`, and not too large."""
    value = layout.draft(draft)
    if not layout.packed:
        return value
    if layout.offset:
        whole = draft.node("Cast", [value], {"to": int(ir.DataType.INT32)})
        value = draft.node("Sub", [whole, draft.constant(np.array(layout.offset, np.int32), "z")])
    return draft.node("Cast", [value], {"to": int(ir.DataType.from_numpy(dtype))})


def integers_bytes(layout: Layout) -> int:
    """Of the constants that `integers` adds."""
    return 4 if layout.offset else 0


def _dense_layout(payload: Payload, numbers: Numbers) -> Layout:
    size, shape = numbers.size_bytes(payload.size, len(payload.shape)), payload.shape
    name = "dense" if numbers.bits is None else "bitpacked"

    def draft(draft: Draft) -> ir.Value:
        return numbers.draft(draft, payload.held.load, shape)

    return Layout(name, size, numbers.node_bytes, draft, numbers.offset, numbers.bits is not None)


def _mask_layout(payload: Payload, numbers: Numbers, nonzeros: int) -> Layout:
    small = (1 + len(payload.shape)) * INDEX_BYTES  # an axis, the shape
    data = _places(numbers, 1).size_bytes(payload.size) + numbers.size_bytes(nonzeros + 1)

    def draft(draft: Draft) -> ir.Value:
        return _mask(draft, payload, numbers)

    nodes = SPARSE_NODE_BYTES + numbers.node_bytes
    return Layout("sparse-mask", data + small, nodes, draft, numbers.offset, numbers.bits is not None)


def _gaps_layout(payload: Payload, numbers: Numbers, entries: int, bits: int) -> Layout:
    small = (1 + 1 + len(payload.shape)) * INDEX_BYTES  # an axis, the size, the shape
    distances = _places(numbers, bits)
    data = distances.size_bytes(entries) + numbers.size_bytes(entries)

    def draft(draft: Draft) -> ir.Value:
        return _gaps(draft, payload, numbers, bits)

    nodes = SPARSE_NODE_BYTES + numbers.node_bytes + distances.node_bytes
    return Layout("sparse-gaps", data + small, nodes, draft, numbers.offset, numbers.bits is not None)


def _places(numbers: Numbers, bits: int) -> Numbers:
    """What says where these belong: a mask of 1 bit, distances of more."""
    return Numbers(np.dtype(np.uint8), numbers.opset, bits if bits < 8 else None)


def _gaps(draft: Draft, payload: Payload, numbers: Numbers, bits: int) -> ir.Value:
    gaps, values = gaps_and_values(payload.held.load(), bits)
    distances = _places(numbers, bits).draft(draft, lambda: gaps, gaps.shape)
    places = _running_sum(draft, draft.node("Cast", [distances], {"to": int(ir.DataType.INT32)}))
    zeros = draft.node("ConstantOfShape", [_integers(draft, [payload.size])], {"value": ir.Tensor(numbers.zero())})
    row = numbers.draft(draft, lambda: values, values.shape)
    dense = draft.node("ScatterElements", [zeros, places, row], {"axis": 0})
    return draft.node("Reshape", [dense, _integers(draft, payload.shape)])


def _mask(draft: Draft, payload: Payload, numbers: Numbers) -> ir.Value:
    mask, values = mask_and_values(payload.held.load())
    bits = draft.node(
        "Cast", [_places(numbers, 1).draft(draft, lambda: mask, mask.shape)], {"to": int(ir.DataType.INT32)}
    )
    # the rank of each set bit, counted from 1, and 0 elsewhere, picks from the values behind a leading zero
    picks = draft.node("Mul", [_running_sum(draft, bits), bits])
    table = np.concatenate([np.zeros(1, values.dtype), values])
    row = numbers.draft(draft, lambda: table, table.shape)
    return draft.node("Reshape", [draft.node("Gather", [row, picks], {"axis": 0}), _integers(draft, payload.shape)])


def _running_sum(draft: Draft, value: ir.Value) -> ir.Value:
    return draft.node("CumSum", [value, draft.constant(np.array(0, np.int64), "i")])


def _integers(draft: Draft, values: object) -> ir.Value:
    return draft.constant(np.array(values, np.int64), "i")
