"""Shapes of all values, as ONNX shape inference finds them from those of the inputs."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir

from nncompress.model.building import without_collector
from nncompress.model.inference import infer
from nncompress.model.message import marked_proto
from nncompress.model.model import Model

Shapes = dict[str, tuple[int | None, ...]]
"""Sizes by name of a value; None: not known."""


@without_collector()
def infer_shapes(model: Model, inputs: Mapping[str, Sequence[int]] | None = None) -> Shapes:
    """Shapes of all values that inference could find; {} where it fails.

    `inputs`: the shapes of the inputs; without them, for one sample.
    """
    proto = marked_proto(model, f"shape-{secrets.token_hex(8)}")
    if inputs is None:
        _fix_batch(proto.graph)
    else:
        _fix_inputs(proto.graph, inputs)
    _forget_recorded(proto.graph)
    try:
        inferred = infer(proto)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    shapes: Shapes = {}
    stack = [inferred.graph]
    while stack:
        graph = stack.pop()
        for info in (*graph.input, *graph.output, *graph.value_info):
            kind = info.type.tensor_type  # without a shape, where it is of another kind
            if kind.HasField("shape"):
                shapes[info.name] = tuple([_size(dim) for dim in kind.shape.dim])
        shapes.update({t.name: tuple(t.dims) for t in graph.initializer})
        stack += [a.g for node in graph.node if node.attribute for a in node.attribute if a.HasField("g")]
    return shapes


def value_bytes(model: Model, inputs: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many bytes the results of the main graph take, as float32, for inputs of these shapes, as far as that is
    known."""
    shapes = infer_shapes(model, inputs)
    results = [value.name for node in model.ir.graph for value in node.outputs if value.name in shapes]
    return {
        str(name): 4 * math.prod(size or 0 for size in shapes[str(name)])
        for name in results
        if None not in shapes[str(name)]
    }


def are_of_one_sample(model: Model, inputs: Mapping[str, Sequence[int]]) -> bool:
    """True if `inputs` are the shapes that `infer_shapes` takes without them."""
    taken = {value.name: value.shape for value in model.ir.graph.inputs if value.name in inputs}
    return all(shape is not None and _of_one_sample(shape) == list(inputs[name or ""]) for name, shape in taken.items())


def _of_one_sample(shape: ir.Shape) -> list[int | None]:
    sizes = [dim if isinstance(dim, int) else None for dim in shape]
    return [1 if sizes[0] is None else sizes[0], *sizes[1:]] if sizes else []


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    size = dim.dim_value if dim.HasField("dim_value") else -1
    return size if size >= 0 else None


def _fix_batch(graph: onnx.GraphProto) -> None:
    """Makes free first dimensions of inputs 1."""
    constants = {tensor.name for tensor in graph.initializer}
    for info in graph.input:
        dims = info.type.tensor_type.shape.dim
        if info.name not in constants and dims and _size(dims[0]) is None:
            dims[0].dim_value = 1


def _fix_inputs(graph: onnx.GraphProto, inputs: Mapping[str, Sequence[int]]) -> None:
    for info in graph.input:
        if info.name in inputs and info.type.HasField("tensor_type"):
            dims = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in inputs[info.name]]
            info.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=dims))


def _forget_recorded(graph: onnx.GraphProto) -> None:
    """Lets inference find free dimensions of results anew: what is recorded may differ."""
    for info in (*graph.output, *graph.value_info):
        for dim in info.type.tensor_type.shape.dim:
            if dim.HasField("dim_param") or _size(dim) is None:
                dim.Clear()
