"""Form `half`: values as float16 or bfloat16, and a Cast that every runtime computes once at load.

The file holds two bytes a weight; a session holds what it held before. Least opset 7, for bfloat16 13.
"""

from __future__ import annotations

from typing import ClassVar

import ml_dtypes

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.half import HalfPrecision

BFLOAT16_FROM_OPSET = 13


class Half:
    """See the module."""

    name: ClassVar[str] = "half"
    holds: ClassVar[type] = HalfPrecision
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True

    def obstacle(self, weight: Weight, half: HalfPrecision, storing: Storing) -> str | None:
        if half.dtype == ml_dtypes.bfloat16 and storing.opset < BFLOAT16_FROM_OPSET:
            return f"bfloat16 needs opset {BFLOAT16_FROM_OPSET}, and the model has {storing.opset}"
        return None

    def payload(self, weight: Weight, half: HalfPrecision) -> Payload:
        return Payload(half.values, half.shape, half.dtype, half.nonzeros)

    def size_bytes(self, weight: Weight, half: HalfPrecision, layout: Layout, opset: int) -> int:
        return layout.size_bytes

    def node_bytes(self, half: HalfPrecision, opset: int) -> int:
        return 80

    def write(self, editor: Editor, weight: Weight, half: HalfPrecision, layout: Layout) -> None:
        draft = editor.draft()
        value = draft.node("Cast", [layout.draft(draft)], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)
