"""Every graph, node and tensor of a message, functions included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import TensorProto


def all_graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every graph inside a node, at any depth, those in functions too."""
    yield proto.graph
    for nodes in [proto.graph.node, *(f.node for f in proto.functions)]:
        for attribute in attributes_of(nodes):
            yield from graphs_of(attribute)


def all_tensors(proto: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor: initializers, the values and indices of sparse ones, attributes."""
    for graph in all_graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in _attributes(proto):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in [attribute.sparse_tensor] * attribute.HasField("sparse_tensor"):
            yield from (sparse.values, sparse.indices)


def _attributes(proto: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    """Every attribute of a node at any depth, and those that functions have by default."""
    for function in proto.functions:
        yield from function.attribute_proto
    for nodes in [proto.graph.node, *(f.node for f in proto.functions)]:
        yield from attributes_of(nodes)


def attributes_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.AttributeProto]:
    """Those of the nodes and of the nodes of all graphs inside them."""
    stack = [nodes]
    while stack:
        for node in [node for node in stack.pop() if node.attribute]:  # most nodes of a large graph have none
            for attribute in node.attribute:
                yield attribute
                stack += [graph.node for graph in graphs_of(attribute)]


def nodes_of(nodes: object) -> Iterator[onnx.NodeProto]:
    """The nodes and those of all graphs inside them."""
    stack = [nodes]
    while stack:
        for node in stack.pop():  # type: ignore[attr-defined]
            yield node
            for attribute in node.attribute:
                stack += [graph.node for graph in graphs_of(attribute)]


def graphs_of(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    return ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)
