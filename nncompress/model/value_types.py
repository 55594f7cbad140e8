"""What kind of value an input or output is: a tensor, or a sequence, an optional value or a map of such.

onnx-ir has no words for maps. What a file states of them stays beside the value, and goes back into the file with the
interface of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
import onnx_ir as ir

_STATED = "nncompress.stated_type"
_WORDS = {"float": "float32", "double": "float64"}  # numpy's words for the format's


@contextmanager
def unreadable_types_set_aside(graphs: Sequence[onnx.GraphProto | onnx.FunctionProto]) -> Iterator[None]:
    """For a while, no value of `graphs` has a type that onnx-ir cannot read: inference finds it by other means."""
    infos = [info for graph in graphs for info in _infos(graph) if not _is_readable(info.type)]
    stated = [onnx.TypeProto.FromString(info.type.SerializeToString()) for info in infos]
    for info in infos:
        info.ClearField("type")
    try:
        yield
    finally:
        for info, kind in zip(infos, stated, strict=True):
            info.type.CopyFrom(kind)


def note_stated_types(values: Sequence[ir.Value], infos: Sequence[onnx.ValueInfoProto]) -> None:
    """Keeps beside each value the type that its file states, where onnx-ir has none."""
    for value, info in zip(values, infos, strict=True):
        if value.type is None and info.HasField("type"):
            value.meta[_STATED] = info.type


def proto_of(model: ir.Model) -> onnx.ModelProto:
    """The model as a message, with what was kept beside its inputs and outputs."""
    proto = ir.to_proto(model)
    for values, infos in ((model.graph.inputs, proto.graph.input), (model.graph.outputs, proto.graph.output)):
        for value, info in zip(values, infos, strict=True):
            if value.type is None and _STATED in value.meta:
                info.type.CopyFrom(type_of(value))
    return proto


def type_of(value: ir.Value) -> onnx.TypeProto:
    """The type of a value as the format writes it; an empty one where nothing is known."""
    stated = value.meta.get(_STATED)
    if isinstance(stated, onnx.TypeProto):
        return stated
    return onnx.TypeProto() if value.type is None else ir.serde.serialize_type(value.type)


def type_text(kind: onnx.TypeProto) -> str:
    """In words: "float32", "sequence(map(string, float32))"; "?" for what is not stated."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            return element_text(kind.tensor_type.elem_type)
        case "sparse_tensor_type":
            return f"sparse({element_text(kind.sparse_tensor_type.elem_type)})"
        case "sequence_type":
            return f"sequence({type_text(kind.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({type_text(kind.optional_type.elem_type)})"
        case "map_type":
            return f"map({element_text(kind.map_type.key_type)}, {type_text(kind.map_type.value_type)})"
    return "?"


def element_text(element: int) -> str:
    """An element type in numpy's words."""
    if element == 0 or element not in onnx.TensorProto.DataType.values():
        return "?"
    name = str(onnx.TensorProto.DataType.Name(element)).lower()
    return _WORDS.get(name, name)


def _infos(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.value_info
    if isinstance(graph, onnx.GraphProto):
        yield from graph.input
        yield from graph.output


def _is_readable(kind: onnx.TypeProto, *, inside: bool = False) -> bool:
    match kind.WhichOneof("value"):
        case "sequence_type":
            return _is_readable(kind.sequence_type.elem_type, inside=True)
        case "optional_type":
            return _is_readable(kind.optional_type.elem_type, inside=True)
        case "tensor_type":
            return not inside or kind.tensor_type.elem_type != 0
        case "map_type":
            return False
    return not inside
