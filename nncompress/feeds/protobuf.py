"""Reads tensors, sequences, maps and optional values from the files of ONNX test data, without trusting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.specs import Array, InputSpec


def read_value(file: Path, spec: InputSpec) -> Any:
    """What `file` holds for the input `spec`: an array, a list, a dict, or None. Raises InputError."""
    import onnx  # here alone, so that the process that runs models need not load it
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

    if not file.is_file():
        raise InputError(f"{file}: not a regular file")
    outermost = spec.holds[0] if spec.holds else "tensor"
    kind: Any = {"optional": onnx.OptionalProto, "sequence": onnx.SequenceProto, "map": onnx.MapProto}.get(
        outermost, onnx.TensorProto
    )
    try:
        return _value(kind.FromString(file.read_bytes()), file)
    except (DecodeError, OSError, ValueError, TypeError, KeyError, MemoryError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{file}: cannot be read as {spec.kind or 'a tensor'}: {reason}") from error


def _value(message: Any, file: Path) -> Any:
    import onnx

    if isinstance(message, onnx.TensorProto):
        return _array(message, file)
    if isinstance(message, onnx.SequenceProto):
        parts = next((list(parts) for _, parts in message.ListFields() if _are_messages(parts)), [])
        return [_value(part, file) for part in parts]
    if isinstance(message, onnx.MapProto):
        keys = [key.decode("utf-8", "replace") for key in message.string_keys] or list(message.keys)
        values = _value(message.values, file)
        return dict(zip(keys, [np.asarray(value).item() for value in values], strict=True))
    if not isinstance(message, onnx.OptionalProto):
        raise TypeError(f"a {message.DESCRIPTOR.name} is not supported")
    value = next((value for field, value in message.ListFields() if field.name.endswith("_value")), None)
    return None if value is None else _value(value, file)


def _are_messages(parts: Any) -> bool:
    return not isinstance(parts, str | int | bytes)


def _array(tensor: Any, file: Path) -> Array:
    import onnx

    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise InputError(f"{file}: external data is not read from test data")
    array: Array = onnx.numpy_helper.to_array(tensor)
    return _text(array) if tensor.data_type == onnx.TensorProto.STRING else array


def _text(array: Array) -> Array:
    """An array of bytes or str objects as unicode text."""
    decoded = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return np.array(decoded, dtype=np.str_).reshape(array.shape)
