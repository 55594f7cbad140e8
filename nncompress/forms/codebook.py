"""Form `codebook`: a table of values and the index of each, packed in as few bits as it needs, looked up once at load.

    weight = Gather(values, Cast(codes) (+ where the table of the group starts)) (* scale)

Least opset 7; from 11 on, codes are packed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from nncompress.forms.folded import RESHAPE_BYTES, reshaped, reshaped_bytes
from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.forms.narrow import Narrow, narrowest
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.weights import Weight
from nncompress.numerics.codebook import Codebook as Codes
from nncompress.numerics.scales import CAST_BYTES, MUL_BYTES


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
        return Payload(codebook.codes, codebook.codes_shape, np.dtype(np.uint8), codebook.nonzeros, codebook.bits)

    def size_bytes(self, weight: Weight, codebook: Codes, layout: Layout, opset: int) -> int:
        scales = sum(scale.size_bytes for scale in _scales(codebook, opset))
        tables = codebook.values.nbytes
        if codebook.starts is not None:
            tables = _in_groups(codebook, opset).size_bytes + codebook.starts.nbytes
        return layout.size_bytes + tables + scales + reshaped_bytes(codebook)

    def node_bytes(self, codebook: Codes, opset: int) -> int:
        scales = sum(MUL_BYTES + scale.node_bytes for scale in _scales(codebook, opset))
        groups = 0 if codebook.starts is None else MUL_BYTES + _in_groups(codebook, opset).node_bytes
        return 150 + scales + groups + (RESHAPE_BYTES + CAST_BYTES) * bool(scales + groups)

    def write(self, editor: Editor, weight: Weight, codebook: Codes, layout: Layout) -> None:
        draft, opset = editor.draft(), editor.model.opset
        places = draft.node("Cast", [layout.draft(draft)], {"to": int(ir.DataType.INT32)})
        if codebook.starts is None:
            values = draft.constant(codebook.values, "s")
        else:
            places = draft.node("Add", [places, draft.constant(codebook.starts, "i")])
            values = _in_groups(codebook, opset).draft(draft, "s")
        value = draft.node("Gather", [values, places], {"axis": 0})
        for scale in _scales(codebook, opset):
            value = draft.node("Mul", [value, scale.draft(draft, "s")])
        value = reshaped(draft, codebook, value)
        if weight.dtype != ir.DataType.from_numpy(codebook.values.dtype):
            value = draft.node("Cast", [value], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)


def _in_groups(codebook: Codes, opset: int) -> Narrow:
    """The tables of all groups, one after the other."""
    return narrowest(codebook.values.reshape(-1), opset)


def _scales(codebook: Codes, opset: int) -> list[Narrow]:
    return [] if codebook.scale is None else [narrowest(codebook.scale, opset)]
