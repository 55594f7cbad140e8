"""Follows values forward through a model, subgraphs and model-local functions included, to the nodes that read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import onnx_ir as ir

from nncompress.model.node_attributes import standard_op

_MOVES = {  # operators that move or convert numbers and texts without changing their values: data operand 0 alone
    "Cast", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Transpose", "Flatten", "Slice", "Expand", "Tile", "Split",
    "Gather", "Dropout", "Pad", "Relu", "Abs", "DepthToSpace", "SpaceToDepth", "Unique", "CumSum", "StringNormalizer",
    "SequenceAt", "SplitToSequence", "ConcatFromSequence", "OptionalGetElement", "Optional",
}  # fmt: skip
_MERGES = {"Concat", "Where", "Max", "Min", "SequenceConstruct", "Sum"}  # the same, for any operand


class Followed:
    """Where the values of one model go."""

    def __init__(self, model: ir.Model) -> None:
        self._functions = model.functions
        self._results: dict[int, list[ir.Value]] = defaultdict(list)  # id of a body's output -> where it comes out
        self._arguments: dict[int, list[ir.Value]] = defaultdict(list)  # id of a body's input -> what goes in
        self._parameters: dict[int, list[ir.Value]] = defaultdict(list)  # id of what goes in -> the bodies' inputs
        bodies: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
        for body in bodies:
            for node in body.all_nodes():
                self._connect(node)
        self._in_functions = {id(value) for function in model.functions.values() for value in _values_in(function)}

    def is_in_function(self, value: ir.Value) -> bool:
        """Whether its name is one of a function, which may call its values like those of the graph."""
        return id(value) in self._in_functions

    def uses(self, value: ir.Value) -> Iterator[tuple[ir.Node, int]]:
        """Every node that reads what `value` holds, perhaps only a part of it, and at which position."""
        pending, seen = [value], {id(value)}
        while pending:
            current = pending.pop()
            for use in current.uses():
                yield use.node, use.idx
            for following in self._following(current):
                if id(following) not in seen:
                    seen.add(id(following))
                    pending.append(following)

    def argument(self, value: ir.Value) -> ir.Value | None:
        """What goes in where `value` is an input of a body; of several the first."""
        return next(iter(self._arguments.get(id(value), ())), None)

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
        """Values that hold the same (perhaps less of it)."""
        yield from self._results.get(id(value), ())
        yield from self._parameters.get(id(value), ())
        for use in value.uses():
            op = standard_op(use.node)
            if (op in _MOVES and use.idx == 0) or op in _MERGES:
                yield from use.node.outputs


def _subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
            yield attribute.as_graph()


def _values_in(function: ir.Function) -> Iterator[ir.Value]:
    yield from function.inputs
    for node in function.all_nodes():
        yield from node.outputs
        for graph in _subgraphs(node):
            yield from graph.inputs
