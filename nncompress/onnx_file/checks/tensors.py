"""Checks that a model file says the truth about itself, before anything relies on it.

These are the lies that would make a reader allocate, recurse or compute without bound, or silently lose something:
tensor data that do not fit their shape, names given twice, functions that call themselves. What merely breaks the
ONNX standard is asked of `onnx.checker` and returned as a complaint: onnxruntime runs some such models.
"""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto

from nncompress.errors import InputError
from nncompress.onnx_file.walk import all_tensors

MOST_ELEMENTS = 1 << 40
MOST_DIMENSIONS = 64  # numpy's limit

_TYPED_FIELD: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.COMPLEX64: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.COMPLEX128: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.STRING: "string_data",
}  # all others: int32_data
_FIELDS = ("raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_BITS: dict[int, int] = {
    **dict.fromkeys((TensorProto.INT64, TensorProto.UINT64, TensorProto.DOUBLE, TensorProto.COMPLEX64), 64),
    **dict.fromkeys((TensorProto.INT32, TensorProto.UINT32, TensorProto.FLOAT), 32),
    **dict.fromkeys((TensorProto.INT16, TensorProto.UINT16, TensorProto.FLOAT16, TensorProto.BFLOAT16), 16),
    **dict.fromkeys((TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1), 4),
    **dict.fromkeys((TensorProto.INT2, TensorProto.UINT2), 2),
    TensorProto.COMPLEX128: 128,
}


def check_tensors(proto: onnx.ModelProto) -> None:
    """Raises InputError for the first tensor whose data do not fit its shape and type."""
    for tensor in all_tensors(proto):
        problem = tensor_problem(tensor)
        if problem:
            raise InputError(f"tensor {tensor.name!r}: {problem}")


def tensor_problem(tensor: TensorProto) -> str | None:
    """What is wrong with the dimensions, the type or the amount of data of `tensor`; None if nothing is."""
    if tensor.data_type == 0 or tensor.data_type not in TensorProto.DataType.values():
        return f"unknown data type {tensor.data_type}"
    if tensor.HasField("segment"):
        return "it is a segment of a tensor, which onnxruntime does not read"
    if any(d < 0 for d in tensor.dims):
        return f"negative dimension in {list(tensor.dims)}"
    if len(tensor.dims) > MOST_DIMENSIONS:
        return f"{len(tensor.dims)} dimensions are more than {MOST_DIMENSIONS}"
    elements = math.prod(tensor.dims)
    if elements > MOST_ELEMENTS:
        return f"its shape {list(tensor.dims)} has more than 2^40 elements"
    wanted = nbytes(tensor.data_type, elements)
    filled = [name for name in _FIELDS if len(getattr(tensor, name))]
    if tensor.data_location == TensorProto.EXTERNAL:
        twice = f"its data are given twice, as {filled[0]} and as external data" if filled else None
        return twice or external_problem(tensor, wanted)
    if len(filled) > 1:
        return f"its data are given twice, as {' and '.join(filled)}"
    if filled and filled[0] != "raw_data" and tensor.HasField("raw_data"):
        return f"its data are given twice, as {filled[0]} and as raw_data that are empty"
    if not filled:
        return None if elements == 0 else f"no data for shape {list(tensor.dims)}"
    if filled[0] == "raw_data":
        if tensor.data_type == TensorProto.STRING:
            return "strings as raw data"
        size = len(tensor.raw_data)
        return None if size == wanted else f"{size} bytes of data, but shape {list(tensor.dims)} needs {wanted}"
    right = _TYPED_FIELD.get(tensor.data_type, "int32_data")
    if filled[0] != right:
        return f"its data are in {filled[0]}, not in {right}"
    values = _typed_values(tensor.data_type, elements)
    count = len(getattr(tensor, right))
    return None if count == values else f"{count} values, but shape {list(tensor.dims)} needs {values}"


def external_problem(tensor: TensorProto, wanted: int) -> str | None:
    """What is wrong with the stated place of external data (the file itself is checked when it is opened)."""
    if tensor.data_type == TensorProto.STRING:
        return "strings cannot be external data"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    for key in ("offset", "length"):
        text = entries.get(key, "0")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            return f"the {key} of its external data is {text!r}"
    if "length" in entries and int(entries["length"]) != wanted:
        return f"external data of {entries['length']} bytes, but shape {list(tensor.dims)} needs {wanted}"
    return None


def nbytes(data_type: int, elements: int) -> int:
    """Bytes of raw data of `elements` values."""
    return -(-elements * _BITS.get(data_type, 8) // 8)


def _typed_values(data_type: int, elements: int) -> int:
    if data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        return 2 * elements
    return -(-elements * _BITS[data_type] // 8) if _BITS.get(data_type, 8) < 8 else elements


# ------------------------------------------------------------------------------------------------ names


# ------------------------------------------------------------------------------------------------ functions


# ------------------------------------------------------------------------------------------------ the standard


# ------------------------------------------------------------------------------------------------ walking a proto
