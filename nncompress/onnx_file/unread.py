"""Leaves out of a message the constants that nothing reads: a graph of hundreds of thousands would take long."""

from __future__ import annotations

import math
from collections import Counter

import onnx

from nncompress.onnx_file.checks.tensors import nbytes
from nncompress.onnx_file.walk import all_graphs


def drop_unread(proto: onnx.ModelProto, kept_names: set[str]) -> Counter[str]:
    """Removes the initializers of the main graph whose names nobody mentions; their bytes by type."""
    mentioned = kept_names | _mentioned(proto)
    sizes: Counter[str] = Counter()
    kept = []
    for tensor in proto.graph.initializer:
        if tensor.name in mentioned or tensor.data_type == onnx.TensorProto.STRING:
            kept.append(tensor)
        else:
            kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
            sizes[kind] += nbytes(tensor.data_type, math.prod(tensor.dims))
    if sizes:
        rest = onnx.GraphProto(initializer=kept)
        del proto.graph.initializer[:]
        proto.graph.initializer.MergeFrom(rest.initializer)
    return sizes


def _mentioned(proto: onnx.ModelProto) -> set[str]:
    """Every name that stands where a value is read, in any graph, and those of values that callers see."""
    names = {info.name for info in proto.graph.input}
    for graph in all_graphs(proto):
        names.update(info.name for info in graph.output)
        names.update(
            entry.value for note in graph.quantization_annotation for entry in note.quant_parameter_tensor_names
        )
        names.update(note.tensor_name for note in graph.quantization_annotation)
        for node in graph.node:
            names.update(node.input)
    return names
