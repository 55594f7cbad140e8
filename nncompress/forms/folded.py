"""Form `folded`: codes, and Cast, Sub and Mul that every runtime computes once at load.

    weight = (Cast(codes) - zero_point) * scale (* input_scale)

The file holds one byte a weight; a session holds floats and runs at float speed. Least opset 7 (numpy broadcasting).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Draft, Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine


class Folded:
    """See the module."""

    name: ClassVar[str] = "folded"
    holds: ClassVar[type] = Affine
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True
    node_bytes: ClassVar[int] = 150

    def obstacle(self, weight: Weight, affine: Affine, storing: Storing) -> str | None:
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """A code of 0 means the value 0 only without a zero point, and for signed codes."""
        is_sparse = affine.zero_point is None and affine.signed
        return Payload(affine.codes, affine.codes_shape, affine.code_type, affine.nonzeros if is_sparse else None)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout) -> int:
        return layout.size_bytes + parameter_bytes(affine) + reshaped_bytes(affine)

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        draft = editor.draft()
        value = draft.node("Cast", [layout.draft(draft)], {"to": int(ir.DataType.FLOAT)})
        if affine.zero_point is not None:
            value = draft.node("Sub", [value, draft.constant(affine.zero_point.astype(np.float32), "z")])
        for factor in (affine.scale, affine.input_scale):
            value = draft.node("Mul", [value, draft.constant(factor, "s")]) if factor is not None else value
        value = reshaped(draft, affine, value)
        if weight.dtype != ir.DataType.FLOAT:
            value = draft.node("Cast", [value], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)


def parameter_bytes(affine: Affine) -> int:
    """Of scales and zero points, each a float."""
    zeros = 0 if affine.zero_point is None else 4 * affine.zero_point.size
    return affine.scale.nbytes + zeros + (0 if affine.input_scale is None else affine.input_scale.nbytes)


def reshaped_bytes(affine: Affine) -> int:
    """Of the constant that `reshaped` adds."""
    return 8 * len(affine.shape) if affine.codes_shape != affine.shape else 0


def reshaped(draft: Draft, affine: Affine, value: ir.Value) -> ir.Value:
    """Decoded codes in the shape of the weight."""
    if affine.codes_shape == affine.shape:
        return value
    return draft.node("Reshape", [value, draft.constant(np.array(affine.shape, np.int64), "i")])
