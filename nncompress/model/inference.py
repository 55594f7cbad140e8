"""onnx's shape inference, kept from the operators whose inference ends the process where a type is not known."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

_CRASHING = {"DictVectorizer": ("ai.onnx.ml",), "RegexFullMatch": ("", "ai.onnx")}  # operator: domains
_UNKNOWN = "OperatorOfAnUnknownKind"  # which inference passes over


def infer(proto: onnx.ModelProto, *, strict: bool = False) -> onnx.ModelProto:
    """`proto` with what could be inferred. Raises what onnx raises."""
    nodes = _crashing(proto)
    names = [node.op_type for node in nodes]
    for node in nodes:
        node.op_type = _UNKNOWN
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=strict, strict_mode=strict, data_prop=not strict)
    finally:
        for node, name in zip(nodes, names, strict=True):
            node.op_type = name


def _crashing(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of such operators, those in graphs inside and in functions too."""
    found: list[onnx.NodeProto] = []
    stack: list[Sequence[onnx.NodeProto]] = [proto.graph.node, *(function.node for function in proto.functions)]
    while stack:
        for node in stack.pop():
            if node.op_type in _CRASHING and node.domain in _CRASHING[node.op_type]:
                found.append(node)
            for attribute in node.attribute if node.attribute else ():
                stack += [graph.node for graph in ([attribute.g] if attribute.HasField("g") else attribute.graphs)]
    return found
