"""Recognises the hard sigmoid where exporters write it as four nodes, among them that of hard swish.

    Clip(x + c, 0, h) / h            =      HardSigmoid<alpha=1/h, beta=c/h>(x)
    y * Clip(x + c, 0, h) / h        =  y * HardSigmoid<alpha=1/h, beta=c/h>(x)

Runtimes compute that in one step, or together with a convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_tensor, float_constant
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.model import Model
from nncompress.model.node_attributes import float_of, operand, standard_op
from nncompress.model.readers import only_reader


@dataclass(frozen=True)
class _HardSigmoid:
    """The nodes of one, in their order; the last one divides."""

    nodes: tuple[ir.Node, ...]
    data: ir.Value
    other: ir.Value | None  # what the clipped values are multiplied with before
    shift: float
    height: float


def fuse_hard_sigmoids(model: Model) -> int:
    """In place; returns how many there are."""
    names: Names | None = None
    count = 0
    for scope in list(model.scopes()):
        for node in [node for node in scope if standard_op(node) == "Clip"]:
            pattern = _pattern_at(node)
            if pattern is not None:
                names = names or Names(model)
                _fuse(model, pattern, names)
                count += 1
    return count


def _pattern_at(clip: ir.Node) -> _HardSigmoid | None:
    value = operand(clip, 0)
    add = value.producer() if value is not None else None
    height, least = _bound(clip, 2, "max"), _bound(clip, 1, "min")
    if value is None or add is None or only_reader(value) is not clip or least != 0 or not height or height < 0:
        return None
    shift, data = _number_beside(add, "Add", None)
    reader, other, clipped = only_reader(clip.outputs[0]), None, clip.outputs[0]
    between: tuple[ir.Node, ...] = ()
    if reader is not None and standard_op(reader) == "Mul" and _number_beside(reader, "Mul", clipped)[0] is None:
        other = next((read for read in reader.inputs if read is not clipped), None)
        between, clipped = (reader,), reader.outputs[0]
        reader = only_reader(clipped) if other is not None else None
    if shift is None or data is None or reader is None or not _divides(reader, clipped, height):
        return None
    if data.shape is not None and not len(data.shape):  # one number that others may give an axis
        return None
    return _HardSigmoid((add, clip, *between, reader), data, other, shift, height)


def _fuse(model: Model, pattern: _HardSigmoid, names: Names) -> None:
    last, draft = pattern.nodes[-1], Draft(names)
    numbers: dict[str, object] = {"alpha": 1 / pattern.height, "beta": pattern.shift / pattern.height}
    value = draft.node("HardSigmoid", [pattern.data], numbers)
    value.type, value.shape = pattern.data.type, pattern.data.shape
    if pattern.other is not None:
        value = draft.node("Mul", [pattern.other, value])
    result = last.outputs[0]
    value.type, value.shape, name = result.type, result.shape, result.name
    constants = [read for node in pattern.nodes for read in node.inputs if constant_tensor(read) is not None]
    insert_before(model, home_of(last), draft, last)
    result.replace_all_uses_with(value, replace_graph_outputs=True)
    for node in reversed(pattern.nodes):
        home_of(node).remove(node, safe=True)
    value.name = name
    for constant in dict.fromkeys(constants):
        if constant is not None:
            drop_if_unread(constant)


def _bound(clip: ir.Node, index: int, name: str) -> float | None:
    """A number, as operand or as attribute."""
    if name in clip.attributes:
        return float_of(clip, name, np.nan)
    return _number(operand(clip, index))


def _number(value: ir.Value | None) -> float | None:
    """A constant of one float32 element that adds no axis to a value that has some."""
    tensor = float_constant(value)
    if tensor is None or tensor.size != 1 or len(tensor.shape) > 1 or tensor.dtype != ir.DataType.FLOAT:
        return None
    number = float(tensor.numpy().reshape(()))
    return number if np.isfinite(number) else None


def _number_beside(node: ir.Node, op: str, data: ir.Value | None) -> tuple[float | None, ir.Value | None]:
    """The number that such a node takes besides `data` (None: anything), and the other operand."""
    if standard_op(node) != op or len(node.inputs) != 2:
        return None, None
    for index in (1, 0):
        number, other = _number(node.inputs[index]), node.inputs[1 - index]
        if number is not None and other is not None and (data is None or other is data):
            return number, other
    return None, None


def _divides(node: ir.Node, data: ir.Value, by: float) -> bool:
    """True for data / by, and data times what is 1 / by in float32."""
    number, _ = _number_beside(node, "Div", data)
    if number is not None and node.inputs[0] is data:
        return number == by
    number, _ = _number_beside(node, "Mul", data)
    return number is not None and abs(number * by - 1) <= float(np.finfo(np.float32).eps)
