"""Checks that attributes of nodes are what they say, and what their operators take.

A value of another kind than the one named would be lost when the model is written, and an operator's attribute of
the wrong kind is refused by onnxruntime; here nothing needs to expect it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import onnx
from onnx import AttributeProto

from nncompress.errors import InputError
from nncompress.onnx_file.walk import nodes_of

_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
    AttributeProto.SPARSE_TENSOR: "sparse_tensor",
    AttributeProto.TYPE_PROTO: "tp",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
    AttributeProto.TENSORS: "tensors",
    AttributeProto.GRAPHS: "graphs",
    AttributeProto.SPARSE_TENSORS: "sparse_tensors",
    AttributeProto.TYPE_PROTOS: "type_protos",
}
_NEEDED = {"t", "g", "sparse_tensor", "tp"}  # an absent message is not an empty one; numbers and strings have defaults
_BESIDES_VALUE = {"name", "type", "doc_string", "ref_attr_name"}


def check_attributes(proto: onnx.ModelProto) -> None:
    """Raises InputError for the first attribute whose value is not of its type, or not of its operator's."""
    _check_nodes(proto.graph.node, _versions(proto.opset_import), in_function=False)
    for function in proto.functions:
        _check_nodes(function.node, _versions(function.opset_import or proto.opset_import), in_function=True)


def _check_nodes(nodes: Iterable[onnx.NodeProto], versions: Mapping[str, int], *, in_function: bool) -> None:
    for node in nodes_of(nodes):
        if not node.attribute:
            continue
        domain = "" if node.domain == "ai.onnx" else node.domain
        wanted = _attribute_types(node.op_type, versions.get(domain, 0)) if domain == "" else {}
        names: set[str] = set()
        for attribute in node.attribute:
            problem = _problem(attribute, wanted)
            if attribute.ref_attr_name and not in_function:
                problem = f"it refers to {attribute.ref_attr_name!r}, but it is in no function"
            if attribute.name in names:
                problem = "it is given twice"
            if problem:
                raise InputError(f"node {node.name!r} ({node.op_type}), attribute {attribute.name!r}: {problem}")
            names.add(attribute.name)


def _problem(attribute: AttributeProto, wanted: Mapping[str, int]) -> str | None:
    kind = attribute.type
    if attribute.ref_attr_name:
        return None
    if kind not in _FIELDS:
        return f"its type is {kind}, which is none"
    filled = {field.name for field, _ in attribute.ListFields()} - _BESIDES_VALUE
    own = _FIELDS[kind]
    if filled - {own} or (own in _NEEDED and own not in filled):
        return f"its type says {own!r}, its value is in {', '.join(sorted(filled)) or 'nothing'}"
    right = wanted.get(attribute.name, kind)
    if right != kind:
        return f"it is of type {_name(kind)}, but the operator takes {_name(right)}"
    return None


def _name(kind: int) -> str:
    return str(AttributeProto.AttributeType.Name(kind))


def _versions(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in imports}


@functools.cache
def _attribute_types(op_type: str, version: int) -> Mapping[str, int]:
    """{attribute: type} of a standard operator; of its newest version where it is not one of `version`."""
    for newest in (min(version, onnx.defs.onnx_opset_version()), onnx.defs.onnx_opset_version()):
        try:
            schema = onnx.defs.get_schema(op_type, newest, "")
        except onnx.defs.SchemaError:
            continue
        kinds = {name: attribute.type for name, attribute in schema.attributes.items()}
        return {name: AttributeProto.AttributeType.Value(kind.name) for name, kind in kinds.items()}  # type: ignore[attr-defined]
    return {}
