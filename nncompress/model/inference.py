"""onnx's shape inference, kept from the operators whose inference ends the process where a type is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx

_CRASHING = {("ai.onnx.ml", "DictVectorizer"), ("", "RegexFullMatch"), ("ai.onnx", "RegexFullMatch")}
_UNKNOWN = "OperatorOfAnUnknownKind"  # which inference passes over


def infer(proto: onnx.ModelProto, *, strict: bool = False) -> onnx.ModelProto:
    """`proto` with what could be inferred. Raises what onnx raises."""
    nodes = [node for node in _nodes(proto) if (node.domain, node.op_type) in _CRASHING]
    names = [node.op_type for node in nodes]
    for node in nodes:
        node.op_type = _UNKNOWN
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=strict, strict_mode=strict, data_prop=not strict)
    finally:
        for node, name in zip(nodes, names, strict=True):
            node.op_type = name


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of graphs inside and of functions too."""
    stack: list[Sequence[onnx.NodeProto]] = [proto.graph.node, *(function.node for function in proto.functions)]
    while stack:
        for node in stack.pop():
            yield node
            for attribute in node.attribute:
                stack += [graph.node for graph in ([attribute.g] if attribute.HasField("g") else attribute.graphs)]
