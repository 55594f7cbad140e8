"""Turns sparse tensors in a model file into dense ones: onnx-ir would drop them, and only onnxruntime reads them."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from nncompress.errors import InputError
from nncompress.model.constants import SparseSize
from nncompress.onnx_file.checks.tensors import nbytes
from nncompress.onnx_file.walk import all_graphs, nodes_of

LARGEST_BYTES = 1 << 30  # of a dense tensor made from a sparse one
_INDEX_TYPES = {onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.INT16, onnx.TensorProto.INT8}
ALWAYS_BYTES = 4 << 20  # dense tensors up to this size may be made from nothing; larger ones must have a reason:
MOST_TIMES = 1000  # this many times the bytes that are stored, or a file of 100 bytes would take a gigabyte


def densify(proto: onnx.ModelProto) -> list[SparseSize]:
    """Replaces every sparse initializer and `sparse_value` of `proto`; returns what they were.

    Raises InputError for one that is none, or whose dense form is out of all proportion.
    """
    sizes: list[SparseSize] = []
    for graph in all_graphs(proto):
        for sparse in graph.sparse_initializer:
            graph.initializer.append(dense_tensor(sparse))
            sizes.append(_size_of(sparse.values.name, sparse))
        del graph.sparse_initializer[:]
    for nodes in [proto.graph.node, *(f.node for f in proto.functions)]:
        for node in nodes_of(nodes):
            for attribute in node.attribute if node.attribute else ():
                if attribute.HasField("sparse_tensor"):
                    dense = dense_tensor(attribute.sparse_tensor)
                    sizes.append(_size_of(node.output[0] if node.output else "", attribute.sparse_tensor))
                    attribute.Clear()
                    attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
                    attribute.t.CopyFrom(dense)
    return sizes


def _size_of(name: str, sparse: onnx.SparseTensorProto) -> SparseSize:
    size = sum(nbytes(tensor.data_type, math.prod(tensor.dims)) for tensor in (sparse.values, sparse.indices))
    return SparseSize(name, tuple(sparse.dims), size)


def dense_tensor(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """The dense tensor of the same name. Raises InputError where the indices are no set of places in its shape."""
    name, dims = sparse.values.name, list(sparse.dims)
    if onnx.TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
        raise InputError(f"sparse tensor {name!r}: external data of sparse tensors is not supported")
    elements = math.prod(dims)
    allowed = min(LARGEST_BYTES, max(ALWAYS_BYTES, MOST_TIMES * sparse.ByteSize()))
    if any(d < 0 for d in dims) or elements * 8 > allowed:
        raise InputError(f"sparse tensor {name!r}: shape {dims} is too large to store densely")
    if len(sparse.values.dims) != 1 or len(sparse.indices.dims) not in (1, 2):
        raise InputError(f"sparse tensor {name!r}: values must have 1 dimension and indices 1 or 2")
    if sparse.indices.data_type not in _INDEX_TYPES:
        raise InputError(f"sparse tensor {name!r}: its indices are no integers")
    if sparse.values.data_type == onnx.TensorProto.STRING:
        raise InputError(f"sparse tensor {name!r}: its values are strings")
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices).astype(np.int64)
    if indices.shape not in ((len(values),), (len(values), len(dims))):
        raise InputError(f"sparse tensor {name!r}: {len(values)} values with indices of shape {list(indices.shape)}")
    if indices.ndim == 2:
        if len(values) and (np.any(indices < 0) or np.any(indices >= np.array(dims))):
            raise InputError(f"sparse tensor {name!r}: an index lies outside of shape {dims}")
        indices = indices @ np.array([math.prod(dims[axis + 1 :]) for axis in range(len(dims))], np.int64)
    if len(values) and (indices.min() < 0 or indices.max() >= elements or len(np.unique(indices)) < len(indices)):
        raise InputError(f"sparse tensor {name!r}: its indices leave shape {dims} or name a place twice")
    dense = np.zeros(elements, values.dtype)
    dense[indices] = values
    return numpy_helper.from_array(dense.reshape(dims), name)
