"""Which inputs of a graph are used as indices, and how many rows the smallest table has that they index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import onnx_ir as ir

_MOVES = {  # operators that move or convert integers without changing their values: data operand 0 alone
    "Cast", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Transpose", "Flatten", "Slice", "Expand", "Tile", "Split",
    "Gather", "Dropout", "Pad", "Relu", "Abs", "DepthToSpace", "SpaceToDepth", "Unique", "CumSum",
}  # fmt: skip
_MERGES = {"Concat", "Where", "Max", "Min", "SequenceConstruct", "Sum"}  # the same, for any operand
_GATHERS = {"Gather", "GatherElements", "GatherBlockQuantized"}
_EMBEDDING_TABLES = {0: 2, 1: 4}  # EmbedLayerNormalization: position of the ids -> position of their table
_LONGEST_COUNT = 1 << 20
_INTEGERS = {ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT8, ir.DataType.INT8}


class IndexLimits:
    """Follows values forward through a model, subgraphs and model-local functions included."""

    def __init__(self, model: ir.Model) -> None:
        self._functions = model.functions
        self._calls: dict[ir.OperatorIdentifier, list[ir.Node]] = defaultdict(list)
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
                found = self._table_rows(use.node, use.idx)
                smallest = found if smallest is None or (found is not None and found < smallest) else smallest
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
            if node.op_type == "Loop":
                self._join(node.inputs[2:], graph.inputs[2:])
                outputs = graph.outputs[1:]  # the first is the loop's condition
            else:
                if node.op_type == "Scan":
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
            if (use.node.op_type in _MOVES and use.idx == 0) or use.node.op_type in _MERGES:
                yield from use.node.outputs

    def _table_rows(self, node: ir.Node, position: int) -> int | None:
        if node.op_type in _GATHERS and position == 1:
            shape = self._shape(node.inputs[0])
            axis = _int_attribute(node, "axis", 0)
            return _size(shape, axis)
        if node.op_type == "GatherND" and position == 1:
            shape, index = self._shape(node.inputs[0]), self._shape(node.inputs[1])
            depth = _size(index, -1)
            first = _int_attribute(node, "batch_dims", 0)
            sizes = [] if shape is None or depth is None else list(shape[first : first + depth])
            return min(sizes) if sizes and all(size > 0 for size in sizes) else None
        if node.op_type == "EmbedLayerNormalization" and position in _EMBEDDING_TABLES:
            table = _EMBEDDING_TABLES[position]
            return _size(self._shape(node.inputs[table]), 0) if table < len(node.inputs) else None
        if node.op_type == "OneHot" and position == 0:
            return _scalar(node.inputs[1])
        if node.op_type == "Equal":  # a one-hot code made by comparing with 0, 1, 2 ...
            return _counted(node.inputs[1 - position])
        return None

    def _shape(self, value: ir.Value | None, depth: int = 8) -> tuple[int, ...] | None:
        """Shape of a table where it can be known; unknown sizes are -1."""
        if value is None or depth == 0:
            return None
        if value.const_value is not None:
            return tuple(size if isinstance(size, int) else -1 for size in value.const_value.shape)
        for argument in self._arguments[id(value)]:
            return self._shape(argument, depth - 1)
        node = value.producer()
        if node is not None and node.op_type == "Constant" and "value" in node.attributes:
            return tuple(int(size) for size in node.attributes["value"].as_tensor().shape.numpy())
        if node is not None and node.op_type in {"Identity", "Cast", "DequantizeLinear", "Mul", "Sub", "Dropout"}:
            return self._shape(node.inputs[0], depth - 1)
        if value.shape is not None:
            return tuple(size if isinstance(size, int) else -1 for size in value.shape)
        return None


def _subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
            yield attribute.as_graph()


def _int_attribute(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_int()


def _size(shape: tuple[int, ...] | None, axis: int) -> int | None:
    """Size along `axis` where it is known and positive."""
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis] if shape[axis] > 0 else None


def _counted(value: ir.Value | None) -> int | None:
    """N where `value` is the constant 0 ... N - 1 in any shape and N > 2."""
    tensor = None if value is None else value.const_value
    if tensor is None or not 2 < tensor.size <= _LONGEST_COUNT or tensor.dtype not in _INTEGERS:
        return None
    numbers = tensor.numpy().reshape(-1)
    return len(numbers) if all(int(number) == index for index, number in enumerate(numbers)) else None


def _scalar(value: ir.Value | None) -> int | None:
    node = None if value is None else value.producer()
    if value is not None and node is not None and node.op_type in {"Cast", "Unsqueeze", "Squeeze", "Identity"}:
        return _scalar(node.inputs[0])
    tensor = None if value is None else value.const_value
    if node is not None and node.op_type == "Constant" and "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
    if tensor is None or tensor.size != 1:
        return None
    number = int(tensor.numpy().reshape(-1)[0])
    return number if number > 0 else None
