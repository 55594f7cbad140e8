"""Form `folded`: codes, and Cast, Sub and Mul that every runtime computes once at load.

    weight = (Cast(codes) - zero_point) * scale (* input_scale)

The file holds one byte a weight, and zero points and scales in the narrowest type that holds them exactly (see
narrow.py); a session holds floats and runs at float speed. Least opset 7 (numpy broadcasting).
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import onnx_ir as ir

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.forms.narrow import Narrow, narrowest
from nncompress.model.edit import Draft, Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine

NODE_BYTES, RESHAPE_BYTES = 150, 75  # measured, rounded up; the first: Cast, Sub and two Mul


class Folded:
    """See the module."""

    name: ClassVar[str] = "folded"
    holds: ClassVar[type] = Affine
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True

    def obstacle(self, weight: Weight, affine: Affine, storing: Storing) -> str | None:
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """A code of 0 means the value 0 only without a zero point, and for signed codes."""
        is_sparse = affine.zero_point is None and affine.signed
        nonzeros = affine.nonzeros if is_sparse else None
        return Payload(affine.codes, affine.codes_shape, affine.code_type, nonzeros, affine.bits)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout, opset: int) -> int:
        small = parameters(affine, opset, layout.offset)
        return layout.size_bytes + sum(p.size_bytes for p in small) + reshaped_bytes(affine)

    def node_bytes(self, affine: Affine, opset: int) -> int:
        reshape = RESHAPE_BYTES * (affine.codes_shape != affine.shape)
        return NODE_BYTES + sum(p.node_bytes for p in parameters(affine, opset)) + reshape

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        draft, opset = editor.draft(), editor.model.opset
        value = draft.node("Cast", [layout.draft(draft)], {"to": int(ir.DataType.FLOAT)})
        for zero in zeros(affine, layout.offset):
            value = draft.node("Sub", [value, narrowest(zero, opset).draft(draft, "z")])
        for factor in factors(affine):
            value = draft.node("Mul", [value, narrowest(factor, opset).draft(draft, "s")])
        value = reshaped(draft, affine, value)
        if weight.dtype != ir.DataType.FLOAT:
            value = draft.node("Cast", [value], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)


def factors(affine: Affine) -> list[np.ndarray]:
    """What codes are multiplied by, in this order."""
    return [affine.scale] if affine.input_scale is None else [affine.scale, affine.input_scale]


def zeros(affine: Affine, offset: int = 0) -> list[np.ndarray]:
    """What is taken away from codes that are too large by `offset`."""
    zero = np.zeros((1,) * len(affine.codes_shape), np.int32) if affine.zero_point is None else affine.zero_point
    return [zero + offset] if offset or affine.zero_point is not None else []


def parameters(affine: Affine, opset: int, offset: int = 0) -> list[Narrow]:
    """Zero points and scales as they are stored."""
    return [narrowest(numbers, opset) for numbers in (*zeros(affine, offset), *factors(affine))]


class _LaidOut(Protocol):
    """An encoding whose codes may have another shape than the weight."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def codes_shape(self) -> tuple[int, ...]: ...


def reshaped_bytes(encoded: _LaidOut) -> int:
    """Of the constant that `reshaped` adds."""
    return 8 * len(encoded.shape) if encoded.codes_shape != encoded.shape else 0


def reshaped(draft: Draft, encoded: _LaidOut, value: ir.Value) -> ir.Value:
    """Decoded codes in the shape of the weight."""
    if encoded.codes_shape == encoded.shape:
        return value
    return draft.node("Reshape", [value, draft.constant(np.array(encoded.shape, np.int64), "i")])
