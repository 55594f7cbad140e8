"""Form `codebook`: a table of values and the index of each, one byte, looked up once at load.

    weight = Gather(values, Cast(codes))

Least opset 7.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.codebook import Codebook as Codes


class Codebook:
    """See the module."""

    name: ClassVar[str] = "codebook"
    holds: ClassVar[type] = Codes
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True

    def obstacle(self, weight: Weight, codebook: Codes, storing: Storing) -> str | None:
        return None

    def payload(self, weight: Weight, codebook: Codes) -> Payload:
        return Payload(codebook.codes, codebook.shape, np.dtype(np.uint8), codebook.nonzeros)

    def size_bytes(self, weight: Weight, codebook: Codes, layout: Layout, opset: int) -> int:
        return layout.size_bytes + codebook.values.nbytes

    def node_bytes(self, codebook: Codes, opset: int) -> int:
        return 150

    def write(self, editor: Editor, weight: Weight, codebook: Codes, layout: Layout) -> None:
        draft = editor.draft()
        places = draft.node("Cast", [layout.draft(draft)], {"to": int(ir.DataType.INT32)})
        value = draft.node("Gather", [draft.constant(codebook.values, "s"), places], {"axis": 0})
        put_in_place(editor.model, weight, draft, value)
