"""Every constant of a model, and values of large ones without reading them whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.model import Model, Scope
from nncompress.model.node_attributes import standard_op
from nncompress.model.origins import constant_tensor
from nncompress.model.tensors import FileTensor

_STORED_BYTES = "nncompress.stored-bytes"


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
