"""Every constant of a model, and values of large ones without reading them whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.model import Model, Scope, graphs_below
from nncompress.model.node_attributes import standard_op
from nncompress.model.tensors import FileTensor

FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
_STORED_BYTES, _LISTED = "nncompress.stored-bytes", "nncompress.listed"
_QUANT_PARAMETERS = "quant_parameter_tensor_names"  # where onnx-ir keeps them
_NUMBERS = {
    "value_float": (ir.AttributeType.FLOAT, np.float32), "value_floats": (ir.AttributeType.FLOATS, np.float32),
    "value_int": (ir.AttributeType.INT, np.int64), "value_ints": (ir.AttributeType.INTS, np.int64),
}  # fmt: skip


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind an initializer or the output of a Constant node; None for anything else.

    Not for a few numbers that a Constant node holds as attributes: see `constant_of`.
    """
    if value is None:
        return None
    node = value.producer()
    if node is None:
        return value.const_value
    if standard_op(node) != "Constant":
        return None
    attr = node.attributes.get("value")
    if attr is None:
        return _listed(value, node) if "value_floats" in node.attributes else None
    if attr.is_ref() or attr.type != ir.AttributeType.TENSOR:
        return None
    tensor: ir.TensorProtocol = attr.value  # as_tensor() would take a hundred times as long
    return tensor


def constant_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The same, also for a Constant node that holds numbers as attributes, such as axes."""
    tensor = constant_tensor(value)
    producer = value.producer() if value is not None and tensor is None else None
    if value is None or producer is None or standard_op(producer) != "Constant":
        return tensor
    return _listed(value, producer)


def _listed(value: ir.Value, node: ir.Node) -> ir.TensorProtocol | None:
    if _LISTED not in value.meta:
        given = next((attr for name, attr in node.attributes.items() if name in _NUMBERS), None)
        kind, dtype = _NUMBERS[given.name] if given is not None else (None, None)
        known = given is not None and not given.is_ref() and given.type == kind
        value.meta[_LISTED] = ir.Tensor(np.array(given.value, dtype)) if known and given is not None else None
    listed: ir.TensorProtocol | None = value.meta[_LISTED]
    return listed


def float_constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of a float constant that is no input of the graph; None for anything else."""
    tensor = constant_tensor(value)
    fits = tensor is not None and tensor.dtype in FLOATS and value is not None and not value.is_graph_input()
    return tensor if fits else None


def integers_in(tensor: ir.TensorProtocol | None) -> list[int] | None:
    """The elements of an index; None where there is none, or they are no integers of such a type."""
    whole = tensor is not None and tensor.dtype in (ir.DataType.INT64, ir.DataType.INT32)
    return [int(i) for i in tensor.numpy().reshape(-1)] if whole and tensor is not None else None


@dataclass(frozen=True)
class SparseSize:
    """A constant that the file holds in fewer bytes than its shape says: a sparse one, read as dense."""

    name: str
    shape: tuple[int, ...]
    size_bytes: int


def note_stored_bytes(model: Model, stored: Iterable[SparseSize]) -> None:
    """Remembers how many bytes these constants take in the file."""
    sizes = {(sparse.name, sparse.shape): sparse.size_bytes for sparse in stored}
    if not sizes:
        return
    for value, tensor, _ in find_constants(model):
        size = sizes.get((value.name or "", tuple(int(d) for d in tensor.shape.numpy())))
        if size is not None:
            value.meta[_STORED_BYTES] = size


def note_bytes(value: ir.Value, size: int) -> None:
    """The constant stands for something that takes so many bytes in the file."""
    value.meta[_STORED_BYTES] = size


def forget_stored_bytes(value: ir.Value) -> None:
    """The constant has other values now."""
    value.meta.pop(_STORED_BYTES, None)


def stored_bytes(value: ir.Value, tensor: ir.TensorProtocol) -> int:
    """Bytes of a constant in the file that it was loaded from."""
    return int(value.meta.get(_STORED_BYTES, tensor.nbytes))


def find_constants(model: Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol, Scope]]:
    """Initializers and the outputs of Constant nodes that hold a tensor, each with the scope in which it lies."""
    for scope in model.scopes():
        values = list(getattr(scope, "initializers", {}).values())
        values += [node.outputs[0] for node in scope if standard_op(node) == "Constant"]
        for value in values:
            tensor = constant_tensor(value)
            if tensor is not None:
                yield value, tensor, scope


def annotating(model: Model) -> set[str]:
    """Initializers that no node reads but quantization_annotation names: scales and zero points of activations."""
    names: set[str] = set()
    for graph in (model.ir.graph, *graphs_below(model.ir.graph)):
        values = [*graph.inputs, *graph.initializers.values(), *(out for node in graph for out in node.outputs)]
        names.update(name for value in values for name in (value.meta.get(_QUANT_PARAMETERS) or {}).values())
    return names


def elements_of(tensor: ir.TensorProtocol, places: np.ndarray) -> np.ndarray:
    """The elements at `places`, ascending row-major positions. Of a file only their neighbourhoods are read."""
    if not isinstance(tensor, FileTensor) or tensor.dtype.bitwidth < 8 or not places.size:
        return np.asarray(tensor.numpy().reshape(-1)[places])
    dtype = tensor.dtype.numpy()
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    parts = [
        tensor.file.read_array(tensor.offset + int(run[0]) * dtype.itemsize, len(run) * dtype.itemsize) for run in runs
    ]
    return np.concatenate(parts).view(dtype)
