"""Mutations of tensors: their shape, type, data and where the data are said to be."""

from __future__ import annotations

import random
import struct

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from nncompress.onnx_file.walk import all_tensors

DIMS = (0, 1, -1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63))
VALUES = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e-45, 1e-38, 3.4e38, -3.4e38, 65504.0, 1.0)
LOCATIONS = (
    "", ".", "..", "/etc/passwd", "../model.onnx", "model.onnx", "a/../weights.bin", "./weights.bin", "weights.bin/",
    "weights.bin\0", "C:\\w", "\\\\host\\share", "~/w", "file:///etc/passwd", "w\n\x1b[2J", "ü" * 2000, "a/" * 500,
    "/dev/zero", "weights.bin", "%2e%2e/x", "CON",
)  # fmt: skip
NUMBERS = ("", "-1", "0", "1", "00", "1e3", "0x10", " 4", "\u0661", "4096", str(2**31), str(2**63), "9" * 100, "NaN")
FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def _tensor(rng: random.Random, proto: onnx.ModelProto) -> TensorProto:
    return rng.choice(list(all_tensors(proto)))


def change_dim(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    index = rng.randrange(len(tensor.dims))
    tensor.dims[index] = rng.choice((*DIMS, tensor.dims[index] + 1, tensor.dims[index] - 1))


def add_or_drop_dims(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    dims = list(tensor.dims)
    new = rng.choice(
        ([], dims[:-1], dims[1:], [*dims, 1], [1, *dims], [*dims, rng.choice(DIMS)], [1] * 100, dims[::-1])
    )
    del tensor.dims[:]
    tensor.dims.extend(new)


def reshape_truthfully(rng: random.Random, proto: onnx.ModelProto) -> None:
    """The same number of elements in another shape: the tensor is true, its readers no longer fit."""
    tensor = _tensor(rng, proto)
    count = int(np.prod(list(tensor.dims)))
    new = rng.choice(([count], [1, count], [count, 1], [1, 1, count], [count, 1, 1, 1], [1] * 5 + [count]))
    del tensor.dims[:]
    tensor.dims.extend(new)


def resize_truthfully(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Other values in another size: scalars, empty ones, larger ones, other types."""
    tensor = _tensor(rng, proto)
    shape = rng.choice(((), (0,), (0, 8), (8, 0), (1, 1), (8, 8), (64, 70), (3, 3, 3), (2, 2, 2, 2, 2), (17,)))
    dtype = rng.choice((np.float32, np.float16, np.float64, np.int8, np.int64, np.bool_, np.complex64))
    values = np.random.default_rng(rng.randrange(99)).standard_normal(shape) * 3
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values).astype(dtype), tensor.name))


def change_type(rng: random.Random, proto: onnx.ModelProto) -> None:
    _tensor(rng, proto).data_type = rng.choice((*range(30), 99, 2**31 - 1, -1))


def change_length(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    raw = tensor.raw_data
    tensor.raw_data = rng.choice((raw[:-1], raw[:-4], raw + b"\0", raw * 2, b"", raw[: len(raw) // 2]))


def swap_field(rng: random.Random, proto: onnx.ModelProto) -> None:
    """The values in another field, rightly or wrongly, alone or besides raw_data."""
    tensor = _tensor(rng, proto)
    count = max(1, len(tensor.raw_data) // 4) + rng.choice((0, 0, 0, 1, -1))
    name = rng.choice(FIELDS)
    value = {"float_data": 1.5, "double_data": 2.5, "string_data": b"\xff\xfe"}.get(name, rng.choice((1, 2**31 - 1)))
    if rng.random() < 0.8:
        tensor.ClearField("raw_data")
    getattr(tensor, name).extend([value] * count)


def odd_values(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Some or all values are not finite, denormal, huge, equal or zero."""
    tensor = rng.choice([t for t in all_tensors(proto) if t.data_type == TensorProto.FLOAT and t.raw_data])
    count = len(tensor.raw_data) // 4
    packed = struct.pack("<f", rng.choice(VALUES))
    if rng.random() < 0.4:
        tensor.raw_data = packed * count
        return
    raw = bytearray(tensor.raw_data)
    for _ in range(rng.randint(1, 5)):
        place = rng.randrange(count) * 4
        raw[place : place + 4] = packed
    tensor.raw_data = bytes(raw)


def random_bits(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = rng.choice([t for t in all_tensors(proto) if t.raw_data])
    tensor.raw_data = rng.randbytes(len(tensor.raw_data))


def make_external(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    if rng.random() < 0.7:
        tensor.ClearField("raw_data")
    tensor.data_location = rng.choice((TensorProto.EXTERNAL, TensorProto.EXTERNAL, TensorProto.DEFAULT))
    for key in rng.sample(("location", "offset", "length", "checksum", "", "n\x1b[2J", "location"), rng.randint(0, 4)):
        tensor.external_data.add(key=key, value=rng.choice(LOCATIONS if key == "location" else NUMBERS))


def change_entry(rng: random.Random, proto: onnx.ModelProto) -> None:
    entry = rng.choice([entry for tensor in all_tensors(proto) for entry in tensor.external_data])
    entry.value = rng.choice(LOCATIONS if entry.key == "location" else NUMBERS)


def rename_tensor(rng: random.Random, proto: onnx.ModelProto) -> None:
    names = [tensor.name for tensor in all_tensors(proto)]
    _tensor(rng, proto).name = rng.choice((*names, "", "x", "y", "v0", "c0", "w.a0", "x" * 5000, "n\n\x1b[31m\u202e"))


def make_sparse(rng: random.Random, proto: onnx.ModelProto) -> None:
    """An initializer as a sparse tensor with places that are right, double, negative or beyond."""
    graph = proto.graph
    tensor = rng.choice(list(graph.initializer))
    count = rng.choice((0, 1, 3, 8))
    places = np.array([rng.choice((i, i, i, 0, -1, 2**40)) for i in range(count)], np.int64).astype(
        rng.choice((np.int64, np.int32, np.int8))
    )
    shape = rng.choice((places, places, places.reshape(-1, 1), np.stack([places] * 2, 1), places.reshape(1, 1, -1)))
    sparse = onnx.SparseTensorProto()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(count + rng.choice((0, 0, 0, 1)), np.float32), tensor.name))
    sparse.indices.CopyFrom(numpy_helper.from_array(shape, "places"))
    sparse.dims.extend(rng.choice((list(tensor.dims), [], [rng.choice(DIMS), rng.choice(DIMS)], [2**13, 2**14])))
    graph.sparse_initializer.append(sparse)
    if rng.random() < 0.7:
        graph.initializer.remove(tensor)


def segment(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    tensor.segment.begin, tensor.segment.end = rng.choice(DIMS), rng.choice(DIMS)


TENSOR_MUTATIONS = (
    change_dim, add_or_drop_dims, reshape_truthfully, resize_truthfully, change_type, change_length, swap_field,
    odd_values, random_bits, make_external, change_entry, rename_tensor, make_sparse, segment,
)  # fmt: skip
