"""Which inputs of a graph are used as indices, and how many rows what they index has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from nncompress.feeds.followed import Followed
from nncompress.model.constants import FLOATS, constant_tensor
from nncompress.model.node_attributes import int_of, operand, standard_op

Rows = Sequence[int | None]
"""How many rows each axis has that is indexed; None: that is not known."""

_DECODES = {"Identity", "Cast", "DequantizeLinear", "Mul", "Sub", "Dropout"}  # shaped as their operand 0
_RESHAPES = {"Cast", "Unsqueeze", "Squeeze", "Identity"}  # of one number
_LOOKED_UP = {  # operator, position of indices -> position of the table that has a row for each
    ("EmbedLayerNormalization", 0): 2, ("EmbedLayerNormalization", 1): 4, ("RotaryEmbedding", 1): 2,
}  # fmt: skip
_ALONG_AN_AXIS = {"Gather", "GatherElements", "ScatterElements", "Scatter"}
_LONGEST_COUNT = 1 << 20
_LARGEST_NUMBER = 1 << 62
_INTEGERS = {ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT8, ir.DataType.INT8}


@dataclass(frozen=True)
class Tables:
    """What values of a model index. `shapes`: of all values in the main graph and in graphs inside, by name."""

    followed: Followed
    shapes: Mapping[str, Rows] = field(default_factory=dict)

    def rows(self, value: ir.Value) -> list[int | None]:
        """The sizes of everything that `value` indexes; None for each of an unknown size."""
        found: list[int | None] = []
        for node, position in self.followed.uses(value):
            found += self._indexed(node, position)
        return found

    def _indexed(self, node: ir.Node, position: int) -> Rows:
        """Rows of what the operand at `position` indexes; [] where it is no index."""
        op = node.op_type
        match node.domain, position:
            case "", 1 if op in _ALONG_AN_AXIS:
                return [self._size(operand(node, 0), int_of(node, "axis", 0))]
            case "", 1 if op in ("GatherND", "ScatterND"):
                return self._of_tuples(node)
            case "", 0 if op == "OneHot":
                depth = _scalar(operand(node, 1))
                return [] if depth is None else [depth]
            case "", 0 | 1 if op == "Equal":  # a one-hot code made by comparing with 0, 1, 2 ...
                counted = _counted(operand(node, 1 - position))
                return [] if counted is None else [counted]
            case "", 3 if op == "RotaryEmbedding":
                return [self._size(operand(node, 1), 0)]
            case "com.microsoft", 1 if op == "GatherBlockQuantized":
                return [self._size(operand(node, 0), int_of(node, "gather_axis", 0))]
            case "com.microsoft", _ if (op, position) in _LOOKED_UP:
                return [self._size(operand(node, _LOOKED_UP[op, position]), 0)]
        return []

    def _of_tuples(self, node: ir.Node) -> Rows:
        """Of the axes that one index of a GatherND or ScatterND has a number for."""
        shape, depth = self._shape(operand(node, 0)), self._size(operand(node, 1), -1)
        first = int_of(node, "batch_dims", 0)
        if shape is None or depth is None or first is None:
            return [None]
        return shape[first : first + depth]

    def _size(self, value: ir.Value | None, axis: int | None) -> int | None:
        """Size along `axis` where both are known and the size is positive."""
        shape = self._shape(value)
        if shape is None or axis is None or not -len(shape) <= axis < len(shape):
            return None
        return shape[axis] or None

    def _shape(self, value: ir.Value | None, depth: int = 8) -> Rows | None:
        """Shape of a table where it can be known."""
        if value is None or depth == 0:
            return None
        tensor = constant_tensor(value)
        if tensor is not None:
            return tuple(int(size) for size in tensor.shape.numpy())
        argument = self.followed.argument(value)
        if argument is not None:
            return self._shape(argument, depth - 1)
        node = value.producer()
        if node is not None and standard_op(node) in _DECODES:
            shape = self._shape(operand(node, 0), depth - 1)
            if shape is not None:
                return shape
        if value.name and value.name in self.shapes and not self.followed.is_in_function(value):
            return self.shapes[value.name]
        if value.shape is not None:
            return tuple(size if isinstance(size, int) and size >= 0 else None for size in value.shape)
        return None


def _counted(value: ir.Value | None) -> int | None:
    """N where `value` is the constant 0 ... N - 1 in any shape and N > 2."""
    tensor = constant_tensor(value)
    if tensor is None or not 2 < tensor.size <= _LONGEST_COUNT or tensor.dtype not in _INTEGERS:
        return None
    numbers = tensor.numpy().reshape(-1)
    return len(numbers) if all(int(number) == index for index, number in enumerate(numbers)) else None


def _scalar(value: ir.Value | None) -> int | None:
    """The number that `value` is, if it is constant and positive."""
    tensor = constant_tensor(value)
    while tensor is None:
        node = None if value is None else value.producer()
        if node is None or standard_op(node) not in _RESHAPES:
            return None
        value = operand(node, 0)
        tensor = constant_tensor(value)
    if tensor.size != 1 or tensor.dtype not in _INTEGERS | FLOATS:
        return None
    number = float(tensor.numpy().reshape(-1)[0])
    return int(number) if 1 <= number < _LARGEST_NUMBER else None
