"""Every constant of a model, and values of large ones without reading them whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from nncompress.model.model import Model, Scope
from nncompress.model.origins import constant_tensor
from nncompress.model.tensors import FileTensor

_STORED_BYTES = "nncompress.stored-bytes"


def note_stored_bytes(model: Model, sizes: Mapping[str, int]) -> None:
    """Remembers of constants, by name, that the file holds them in so many bytes: sparse ones, read as dense."""
    for value, _, _ in find_constants(model):
        if value.name and value.name in sizes:
            value.meta[_STORED_BYTES] = sizes[value.name]


def stored_bytes(value: ir.Value, tensor: ir.TensorProtocol) -> int:
    """Bytes of a constant in the file that it was loaded from."""
    return int(value.meta.get(_STORED_BYTES, tensor.nbytes))


def find_constants(model: Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol, Scope]]:
    """Initializers and the outputs of Constant nodes that hold a tensor, each with the scope in which it lies."""
    for scope in model.scopes():
        values = list(getattr(scope, "initializers", {}).values())
        values += [node.outputs[0] for node in scope if node.op_type == "Constant"]
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
