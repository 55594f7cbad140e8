"""Form `gather-dequantize`: a table is looked up as codes, and only the rows found are scaled.

    Gather(codes, ids) -> Cast -> (Sub zero_point) -> Mul scale (-> Mul input_scale)

Scales that differ by row are gathered too.

A session holds the table as codes, a quarter of the float one. Least opset 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from nncompress.forms.folded import NODE_BYTES, factors, parameters
from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import LARGEST_FOLDED_BYTES, Layout, Payload
from nncompress.forms.narrow import narrowest
from nncompress.model.edit import Draft, Editor, home_of, insert_before, put_instead
from nncompress.model.encoding import is_held_as_floats
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine


class GatherDequantize:
    """See the module."""

    name: ClassVar[str] = "gather-dequantize"
    holds: ClassVar[type] = Affine
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = False

    def obstacle(self, weight: Weight, affine: Affine, storing: Storing) -> str | None:
        if not weight.lookups:
            return "it is not only looked up"
        if is_held_as_floats(weight.value) and 4 * weight.size <= LARGEST_FOLDED_BYTES:
            return "a session is to hold it as floats"
        if affine.codes_shape != affine.shape:
            return "its scales are those of blocks"
        axis = weight.lookups[0].channel_axes[0]
        if any(d > 1 for d in affine.scale.shape[:axis]):
            return "its scales differ along an axis before the one that is looked up"
        if affine.input_scale is not None and any(d > 1 for d in affine.input_scale.shape[: axis + 1]):
            return "its second scale does not lie behind the axis that is looked up"
        return None

    def payload(self, weight: Weight, affine: Affine) -> Payload:
        """Dense: what is unpacked at load would be held as floats."""
        return Payload(affine.codes, affine.shape, affine.code_type, nonzeros=None)

    def size_bytes(self, weight: Weight, affine: Affine, layout: Layout, opset: int) -> int:
        return layout.size_bytes + sum(p.size_bytes for p in parameters(affine, opset))

    def node_bytes(self, affine: Affine, opset: int) -> int:
        return NODE_BYTES + sum(p.node_bytes for p in parameters(affine, opset))

    def write(self, editor: Editor, weight: Weight, affine: Affine, layout: Layout) -> None:
        """Rewires every Gather of the weight; they share the constants, which come in its place."""
        axis, draft, opset = weight.lookups[0].channel_axes[0], editor.draft(), editor.model.opset
        codes = _Table(layout.draft(draft), whole=True)
        zero = None if affine.zero_point is None else _drafted(draft, affine.zero_point, axis, opset, "z")
        scales = [_drafted(draft, factor, axis, opset, "s") for factor in factors(affine)]
        operands = _Operands(codes, zero, scales, axis, weight.dtype)
        for use in weight.lookups:
            _lookup(editor, use.node, operands)
        put_instead(editor.model, weight, draft)


@dataclass(frozen=True)
class _Table:
    """A constant: `whole` if it is looked up as the codes are; otherwise it has only the axes behind that one."""

    value: ir.Value
    whole: bool


@dataclass(frozen=True)
class _Operands:
    """What a lookup reads."""

    codes: _Table
    zero: _Table | None
    scales: list[_Table]
    axis: int
    dtype: ir.DataType


def _drafted(draft: Draft, numbers: np.ndarray, axis: int, opset: int, prefix: str) -> _Table:
    """As it is where it differs along the axis that is looked up; otherwise only the axes behind that one."""
    whole = numbers.shape[axis] > 1
    fitted = numbers if whole else numbers.reshape(numbers.shape[axis + 1 :])
    return _Table(narrowest(fitted, opset).draft(draft, prefix), whole)


def _lookup(editor: Editor, node: ir.Node, operands: _Operands) -> None:
    ids, draft, scope = node.inputs[1], editor.draft(), home_of(node)

    def looked_up(table: _Table) -> ir.Value:
        return draft.node("Gather", [table.value, ids], {"axis": operands.axis}) if table.whole else table.value

    value = draft.node("Cast", [looked_up(operands.codes)], {"to": int(ir.DataType.FLOAT)})
    if operands.zero is not None:
        value = draft.node("Sub", [value, looked_up(operands.zero)])
    for scale in operands.scales:
        value = draft.node("Mul", [value, looked_up(scale)])
    if operands.dtype != ir.DataType.FLOAT:
        value = draft.node("Cast", [value], {"to": int(operands.dtype)})
    old = node.outputs[0]
    name = old.name
    insert_before(editor.model, scope, draft, node)
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    scope.remove(node, safe=True)
    value.name, value.type, value.shape = name, old.type, old.shape
