"""Form `folded`: codes, and Cast, Sub and Mul that every runtime computes once at load.

    weight = (Cast(codes) - zero_point) * scale (* input_scale)

The file holds one byte a weight; a session holds floats and runs at float speed. Least opset 7 (numpy broadcasting).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft
from nncompress.numerics.affine import Affine

LEAST_OPSET = 7
OVERHEAD_BYTES = 150  # nodes, names and headers of one weight; measured, rounded up


def size_bytes(scales: int, *, zero_points: bool) -> int:
    """Bytes of this form besides the codes."""
    return OVERHEAD_BYTES + scales * 4 * (1 + zero_points)


def decode(draft: Draft, codes: ir.Value, affine: Affine, dtype: ir.DataType) -> ir.Value:
    """Drafts the float weight, in the type of the original."""
    value = draft.node("Cast", [codes], {"to": int(ir.DataType.FLOAT)})
    if affine.zero_point is not None:
        value = draft.node("Sub", [value, draft.constant(affine.zero_point.astype(np.float32), "z")])
    value = draft.node("Mul", [value, draft.constant(affine.scale, "s")])
    if affine.input_scale is not None:
        value = draft.node("Mul", [value, draft.constant(affine.input_scale, "s")])
    return value if dtype == ir.DataType.FLOAT else draft.node("Cast", [value], {"to": int(dtype)})
