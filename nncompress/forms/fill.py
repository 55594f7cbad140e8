"""Form `fill`: one value, repeated by ConstantOfShape once at load. Least opset 9, for bfloat16 20."""

from __future__ import annotations

from typing import ClassVar

import ml_dtypes
import numpy as np
import onnx_ir as ir

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import BFLOAT16_FILLED_FROM, Layout, Payload
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.codebook import Filled
from nncompress.numerics.held import Plain


class Fill:
    """See the module."""

    name: ClassVar[str] = "fill"
    holds: ClassVar[type] = Filled
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 9
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True

    def obstacle(self, weight: Weight, filled: Filled, storing: Storing) -> str | None:
        if filled.value.dtype == ml_dtypes.bfloat16 and storing.opset < BFLOAT16_FILLED_FROM:
            return f"a repeated bfloat16 needs opset {BFLOAT16_FILLED_FROM}, and the model has {storing.opset}"
        return None

    def payload(self, weight: Weight, filled: Filled) -> Payload:
        """The shape."""
        shape = np.array(filled.shape, np.int64)
        return Payload(Plain(shape), shape.shape, shape.dtype, nonzeros=None)

    def size_bytes(self, weight: Weight, filled: Filled, layout: Layout, opset: int) -> int:
        """Without the value, which is an attribute of the node."""
        return layout.size_bytes

    def node_bytes(self, filled: Filled, opset: int) -> int:
        return 120

    def write(self, editor: Editor, weight: Weight, filled: Filled, layout: Layout) -> None:
        draft = editor.draft()
        one = ir.Tensor(filled.value.reshape(1), dtype=weight.dtype)
        value = draft.node("ConstantOfShape", [layout.draft(draft)], {"value": one})
        put_in_place(editor.model, weight, draft, value)
