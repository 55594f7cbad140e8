"""Which inputs of a graph are used as indices, and how many rows the smallest table has that they index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import onnx_ir as ir

from nncompress.model.constants import FLOATS, constant_tensor
from nncompress.model.node_attributes import int_of, operand, standard_op

_MOVES = {  # operators that move or convert integers without changing their values: data operand 0 alone
    "Cast", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Transpose", "Flatten", "Slice", "Expand", "Tile", "Split",
    "Gather", "Dropout", "Pad", "Relu", "Abs", "DepthToSpace", "SpaceToDepth", "Unique", "CumSum",
}  # fmt: skip
_MERGES = {"Concat", "Where", "Max", "Min", "SequenceConstruct", "Sum"}  # the same, for any operand
_DECODES = {"Identity", "Cast", "DequantizeLinear", "Mul", "Sub", "Dropout"}  # shaped as their operand 0
_RESHAPES = {"Cast", "Unsqueeze", "Squeeze", "Identity"}  # of one number
_EMBEDDING_TABLES = {0: 2, 1: 4}  # EmbedLayerNormalization: position of the ids -> position of their table
_LONGEST_COUNT = 1 << 20
_LARGEST_NUMBER = 1 << 62
_INTEGERS = {ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT8, ir.DataType.INT8}


class IndexLimits:
    """Follows values forward through a model, subgraphs and model-local functions included."""

    def __init__(self, model: ir.Model) -> None:
        self._functions = model.functions
        self._results: dict[int, list[ir.Value]] = defaultdict(list)  # id of a body's output -> where it comes out
        self._arguments: dict[int, list[ir.Value]] = defaultdict(list)  # id of a body's input -> what goes in
        self._parameters: dict[int, list[ir.Value]] = defaultdict(list)  # id of what goes in -> the bodies' inputs
        bodies: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
        for body in bodies:
            for node in body.all_nodes():
                self._connect(node)

    def limit(self, value: ir.Value) -> int | None:
        """Rows of the smallest table that `value` indexes; None: it indexes none of a known size."""
        smallest: int | None = None
        pending, seen = [value], {id(value)}
        while pending:
            current = pending.pop()
            for use in current.uses():
                rows = self._table_rows(use.node, use.idx)
                smallest = rows if smallest is None or (rows is not None and rows < smallest) else smallest
            for following in self._following(current):
                if id(following) not in seen:
                    seen.add(id(following))
                    pending.append(following)
        return smallest

    def _connect(self, node: ir.Node) -> None:
        function = self._functions.get(node.op_identifier())
        if function is not None:
            self._join(node.inputs, function.inputs)
            for inner, outer in zip(function.outputs, node.outputs, strict=False):
                self._results[id(inner)].append(outer)
        for graph in _subgraphs(node):
            if standard_op(node) == "Loop":
                self._join(node.inputs[2:], graph.inputs[2:])
                outputs = graph.outputs[1:]  # the first is the loop's condition
            else:
                if standard_op(node) == "Scan":
                    self._join(node.inputs, graph.inputs)
                outputs = graph.outputs
            for inner, outer in zip(outputs, node.outputs, strict=False):
                self._results[id(inner)].append(outer)

    def _join(self, outer: Iterable[ir.Value | None], inner: Iterable[ir.Value]) -> None:
        for argument, parameter in zip(outer, inner, strict=False):
            if argument is not None:
                self._arguments[id(parameter)].append(argument)
                self._parameters[id(argument)].append(parameter)

    def _following(self, value: ir.Value) -> Iterator[ir.Value]:
        """Values that hold the same numbers (perhaps fewer of them)."""
        yield from self._results[id(value)]
        yield from self._parameters[id(value)]
        for use in value.uses():
            op = standard_op(use.node)
            if (op in _MOVES and use.idx == 0) or op in _MERGES:
                yield from use.node.outputs

    def _table_rows(self, node: ir.Node, position: int) -> int | None:
        """Rows of the table that the operand at `position` indexes; None: it indexes none of a known size."""
        match node.domain, node.op_type, position:
            case "", "Gather" | "GatherElements", 1:
                return _size(self._shape(operand(node, 0)), int_of(node, "axis", 0))
            case "com.microsoft", "GatherBlockQuantized", 1:
                return _size(self._shape(operand(node, 0)), int_of(node, "gather_axis", 0))
            case "", "GatherND", 1:
                return self._smallest_size(node)
            case "com.microsoft", "EmbedLayerNormalization", 0 | 1:
                return _size(self._shape(operand(node, _EMBEDDING_TABLES[position])), 0)
            case "", "OneHot", 0:
                return _scalar(operand(node, 1))
            case "", "Equal", 0 | 1:  # a one-hot code made by comparing with 0, 1, 2 ...
                return _counted(operand(node, 1 - position))
        return None

    def _smallest_size(self, gather_nd: ir.Node) -> int | None:
        """Of the axes that one index of a GatherND has a number for."""
        shape, depth = self._shape(operand(gather_nd, 0)), _size(self._shape(operand(gather_nd, 1)), -1)
        first = int_of(gather_nd, "batch_dims", 0)
        if shape is None or depth is None or first is None:
            return None
        sizes = shape[first : first + depth]
        return min(sizes) if sizes and all(size > 0 for size in sizes) else None

    def _shape(self, value: ir.Value | None, depth: int = 8) -> tuple[int, ...] | None:
        """Shape of a table where it can be known; unknown sizes are -1."""
        if value is None or depth == 0:
            return None
        tensor = constant_tensor(value)
        if tensor is not None:
            return tuple(int(size) for size in tensor.shape.numpy())
        for argument in self._arguments[id(value)]:
            return self._shape(argument, depth - 1)
        node = value.producer()
        if node is not None and standard_op(node) in _DECODES:
            return self._shape(operand(node, 0), depth - 1)
        if value.shape is not None:
            return tuple(size if isinstance(size, int) else -1 for size in value.shape)
        return None


def _subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
            yield attribute.as_graph()


def _size(shape: tuple[int, ...] | None, axis: int | None) -> int | None:
    """Size along `axis` where both are known and the size is positive."""
    if shape is None or axis is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis] if shape[axis] > 0 else None


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
