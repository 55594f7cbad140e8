"""Values inside the graphs of If nodes: which there are, and how a block shows them as results of its own.

y = If(c) <then_branch = { v = ..., y' }, else_branch = { y'' }>
y, v = If(c) <then_branch = { v' = ..., y', Identity(v') }, else_branch = { y'', an empty tensor }>
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Names
from nncompress.model.model import Model, op_name


@dataclass(frozen=True)
class Inner:
    """A result of a node inside an If."""

    result: str  # of the outermost If, in the main graph
    place: int  # among all that this If has inside
    value: ir.Value


def inner_values(model: Model) -> dict[str, Inner]:
    """By name; without what lies inside other nodes (Loop, Scan), and without names that mean several values."""
    counts = Counter(result.name for scope in model.scopes() for node in scope for result in node.outputs)
    inner: dict[str, Inner] = {}
    for node in model.ir.graph:
        result = next((result.name for result in node.outputs if result.name), None)
        for place, value in enumerate(_results(node) if result else ()):
            if result and value.name and counts[value.name] == 1:
                inner[value.name] = Inner(result, place, value)
    return inner


def _branches(node: ir.Node) -> list[ir.Graph]:
    if op_name(node) != "If":
        return []
    graphs = (attribute for attribute in node.attributes.values() if attribute.type == ir.AttributeType.GRAPH)
    return [attribute.as_graph() for attribute in graphs if not attribute.is_ref()]


def _results(node: ir.Node) -> Iterator[ir.Value]:
    """Of all nodes inside, each behind those in whose graphs it reads."""
    for graph in _branches(node):
        for inside in graph:
            yield from _results(inside)
            yield from inside.outputs


def show(model: Model, names: Sequence[str]) -> list[ir.Value]:
    """Makes values inside Ifs of the main graph results of those, under their names; empty where they do not run."""
    free = Names(model)
    shown = [_shown(model.ir.graph, name, name, free) for name in names]
    return [value for value in shown if value is not None]


def _shown(nodes: Iterable[ir.Node], name: str, shown_as: str, free: Names) -> ir.Value | None:
    for node in nodes:
        for graph in _branches(node):
            value = next((result for inside in graph for result in inside.outputs if result.name == name), None)
            if value is not None:
                value.name = free.new("inside")
            else:
                value = _shown(graph, name, free.new("shown"), free)
            if value is not None:
                return _handed_out(node, graph, value, shown_as, free)
    return None


def _handed_out(node: ir.Node, graph: ir.Graph, value: ir.Value, name: str, free: Names) -> ir.Value:
    """The value in one of the graphs of an If as its last result."""
    dtype = _dtype(value)
    for branch in _branches(node):
        result = ir.Value(name=free.new("shown"), type=ir.TensorType(dtype))
        if branch is graph:  # a node, as it may be a result of the branch already
            producer = ir.Node("", "Identity", [value], outputs=[result])
        else:
            empty = ir.Attr("value", ir.AttributeType.TENSOR, ir.Tensor(np.zeros(0, dtype.numpy())))
            producer = ir.Node("", "Constant", [], [empty], outputs=[result])
        branch.append(producer)
        branch.outputs.append(result)
    node.resize_outputs(len(node.outputs) + 1)
    shown = node.outputs[-1]
    shown.name, shown.type = name, ir.TensorType(dtype)
    return shown


def _dtype(value: ir.Value) -> ir.DataType:
    """Its type, or that of the constants which it meets."""
    if value.dtype is not None:
        return value.dtype
    met = [other.dtype for use in value.uses() for other in use.node.inputs if other is not None]
    return next((dtype for dtype in met if dtype is not None and dtype.is_floating_point()), ir.DataType.FLOAT)
