"""A model at a newer opset, by onnx's version converter, which sees everything but the data of large tensors."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

import onnx
import onnx.shape_inference
import onnx.version_converter
import onnx_ir as ir

from nncompress.model.message import marked_tensors, replace_external
from nncompress.model.model import Model, standard_opset

_DOMAINS = ("", "ai.onnx")  # the two names of that of the standard operators
_FAULTS = (
    onnx.version_converter.ConvertError, onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError,
    KeyError, AttributeError,
)  # fmt: skip
"""What the converter raises, and onnx-ir about what it makes."""


class CannotRaise(Exception):
    """The converter cannot do it; says why."""


def raised(model: Model, opset: int) -> Model:
    """A copy of `model` with standard operators of `opset`; nodes of other domains stay. Raises CannotRaise."""
    for function in model.ir.functions.values():
        own = standard_opset(function, opset)
        if own < opset:
            raise CannotRaise(f"its function {function.name!r} is of opset {own}, and functions are not converted")
    copy = model.clone()
    mark = f"raise-{secrets.token_hex(12)}"
    with marked_tensors(copy, mark) as tensors:
        proto = ir.to_proto(copy.ir)
    try:
        graph = onnx.version_converter.convert_version(proto, opset).graph
        _restore(graph, proto.graph)
        proto.graph.CopyFrom(graph)
        for entry in proto.opset_import:
            entry.version = opset if entry.domain in _DOMAINS else entry.version
        result = replace(copy, ir=ir.from_proto(proto))
    except _FAULTS as error:
        detail = str(error.__cause__ or error).rpartition("failed: ")[2]
        raise CannotRaise(f"onnx's version converter says: {' '.join(detail.split())[:200]}") from error
    replace_external(result, lambda tensor: tensors[tensor.offset or 0] if str(tensor.location) == mark else tensor)
    _keep_notes(result, copy)
    return result


def _restore(graph: onnx.GraphProto, before: onnx.GraphProto) -> None:
    """Puts back what the converter drops, metadata and annotations, and drops the types that it made up."""
    known = {info.name for each in _graphs(before) for info in each.value_info}
    metadata = {tuple(node.output): node.metadata_props for each in _graphs(before) for node in each.node}
    for each in _graphs(graph):
        kept = [info for info in each.value_info if info.name in known and info.type.tensor_type.elem_type]
        del each.value_info[:]
        each.value_info.extend(kept)
        for node in each.node:
            node.metadata_props.extend(metadata.get(tuple(node.output), ()))
    del graph.value_info[:]
    graph.value_info.extend(before.value_info)
    graph.quantization_annotation.extend(before.quantization_annotation)
    graph.metadata_props.extend(before.metadata_props)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _keep_notes(result: Model, before: Model) -> None:
    """What is remembered of the constants of the main graph."""
    for name, value in before.ir.graph.initializers.items():
        if name in result.ir.graph.initializers:
            result.ir.graph.initializers[name].meta.update(value.meta)
