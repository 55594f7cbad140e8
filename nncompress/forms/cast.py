"""Form `cast`: values in a narrower type, and a Cast that every runtime computes once at load.

The file holds two bytes a weight as float16 or bfloat16, or what the narrowest integer takes; a session holds what it
held before. Least opset 7, for bfloat16 13.
"""

from __future__ import annotations

from typing import ClassVar

import ml_dtypes

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.narrow import Narrow
from nncompress.numerics.scales import CAST_BYTES

BFLOAT16_FROM_OPSET = 13


class Cast:
    """See the module."""

    name: ClassVar[str] = "cast"
    holds: ClassVar[type] = Narrow
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True

    def obstacle(self, weight: Weight, narrow: Narrow, storing: Storing) -> str | None:
        if narrow.dtype == ml_dtypes.bfloat16 and storing.opset < BFLOAT16_FROM_OPSET:
            return f"bfloat16 needs opset {BFLOAT16_FROM_OPSET}, and the model has {storing.opset}"
        return None

    def payload(self, weight: Weight, narrow: Narrow) -> Payload:
        return Payload(narrow.values, narrow.shape, narrow.dtype, narrow.nonzeros)

    def size_bytes(self, weight: Weight, narrow: Narrow, layout: Layout, opset: int) -> int:
        return layout.size_bytes

    def node_bytes(self, narrow: Narrow, opset: int) -> int:
        return CAST_BYTES

    def write(self, editor: Editor, weight: Weight, narrow: Narrow, layout: Layout) -> None:
        draft = editor.draft()
        value = draft.node("Cast", [layout.draft(draft)], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)
