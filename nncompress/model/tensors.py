"""Tensors that are read or computed only when they are needed, so that a model never lies in memory as a whole."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnx_ir as ir

from nncompress.files.opened import OpenFile

BLOCK_BYTES = 8 << 20


class FileTensor(ir.LazyTensor):
    """A tensor whose raw data lie in an open file. Every access reads them anew; nothing is kept."""

    def __init__(self, file: OpenFile, offset: int, like: ir.ExternalTensor) -> None:
        super().__init__(
            self._read, like.dtype, like.shape,
            name=like.name, doc_string=like.doc_string, metadata_props=dict(like.metadata_props) or None,
        )  # fmt: skip
        self.file, self.offset = file, offset

    def _read(self) -> ir.TensorProtocol:
        raw = self.file.read_array(self.offset, self.nbytes)
        if self.dtype.bitwidth < 8:
            return ir.PackedTensor(raw, self.dtype, shape=self.shape)
        return ir.Tensor(raw.view(self.dtype.numpy()).reshape(self.shape.numpy()), dtype=self.dtype)

    def tobytes(self) -> bytes:
        return self.file.read(self.offset, self.nbytes)

    def blocks(self) -> Iterator[bytes]:
        """The raw data, a block at a time."""
        for start in range(0, self.nbytes, BLOCK_BYTES):
            yield self.file.read(self.offset + start, min(BLOCK_BYTES, self.nbytes - start))


def raw_blocks(tensor: ir.TensorProtocol) -> Iterator[bytes | memoryview]:
    """The raw data of any tensor as the ONNX format stores them, in blocks."""
    if isinstance(tensor, FileTensor):
        yield from tensor.blocks()
    elif tensor.dtype.bitwidth < 8 or isinstance(tensor, ir.TensorProtoTensor | ir.PackedTensor):
        yield tensor.tobytes()
    else:
        array = np.ascontiguousarray(tensor.numpy())
        yield array.reshape(-1).view(np.uint8).data


def same_data(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """The same data in an object of its own: clones of a model share tensors, and a tensor bears one name."""
    if isinstance(tensor, ir.TensorProtoTensor):
        proto = onnx.TensorProto()
        proto.CopyFrom(tensor.raw)
        return ir.TensorProtoTensor(proto)
    return copy.copy(tensor)


def lazy(compute: Callable[[], np.ndarray], dtype: ir.DataType, shape: tuple[int, ...], name: str) -> ir.LazyTensor:
    """A tensor whose values are computed by every access; `compute` returns an array of that dtype and shape."""
    return ir.LazyTensor(lambda: ir.Tensor(compute(), dtype=dtype), dtype, ir.Shape(shape), name=name)
