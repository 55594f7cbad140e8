"""Form `signs`: one bit a weight for each of a few terms, unpacked, scaled and summed once at load.

    weight = ReduceSum((Cast(bits) - 1/2) * 2 scales, over the terms)

Least opset 7; from 11 on, bits are packed.
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
from nncompress.numerics.binary import Signs as Encoded
from nncompress.numerics.scales import CAST_BYTES, MUL_BYTES

_AXES_ARE_INPUTS_FROM = 13
_NODE_BYTES = 250  # Cast, Sub, ReduceSum and its axis
_HALF = np.array(0.5, np.float32)


class Signs:
    """See the module."""

    name: ClassVar[str] = "signs"
    holds: ClassVar[type] = Encoded
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = True

    def obstacle(self, weight: Weight, signs: Encoded, storing: Storing) -> str | None:
        return None

    def payload(self, weight: Weight, signs: Encoded) -> Payload:
        return Payload(signs.bits, (signs.terms, *signs.codes_shape), np.dtype(np.uint8), None, 1)

    def size_bytes(self, weight: Weight, signs: Encoded, layout: Layout, opset: int) -> int:
        axis = 8 if opset >= _AXES_ARE_INPUTS_FROM else 0
        return layout.size_bytes + _HALF.nbytes + _doubles(signs, opset).size_bytes + axis + reshaped_bytes(signs)

    def node_bytes(self, signs: Encoded, opset: int) -> int:
        return _NODE_BYTES + MUL_BYTES + _doubles(signs, opset).node_bytes + RESHAPE_BYTES + CAST_BYTES

    def write(self, editor: Editor, weight: Weight, signs: Encoded, layout: Layout) -> None:
        draft, opset = editor.draft(), editor.model.opset
        ups = draft.node("Cast", [layout.draft(draft)], {"to": int(ir.DataType.FLOAT)})
        halves = draft.node("Sub", [ups, draft.constant(_HALF, "z")])
        value = draft.node("Mul", [halves, _doubles(signs, opset).draft(draft, "s")])
        if opset >= _AXES_ARE_INPUTS_FROM:
            value = draft.node("ReduceSum", [value, draft.constant(np.array([0], np.int64), "i")], {"keepdims": 0})
        else:
            value = draft.node("ReduceSum", [value], {"axes": [0], "keepdims": 0})
        value = reshaped(draft, signs, value)
        if weight.dtype != ir.DataType.FLOAT:
            value = draft.node("Cast", [value], {"to": int(weight.dtype)})
        put_in_place(editor.model, weight, draft, value)


def _doubles(signs: Encoded, opset: int) -> Narrow:
    """Twice the scales."""
    return narrowest(2 * signs.scales, opset)
