"""Models that are no files: onnx.ModelProto in memory, checked as files are, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from nncompress.errors import InputError, UsageError
from nncompress.files.opened import opened_bytes
from nncompress.model.model import Model
from nncompress.onnx_file.read import checked, load
from nncompress.onnx_file.walk import all_tensors
from nncompress.onnx_file.write import content

AnyModel = Model | onnx.ModelProto | str | Path
"""A loaded model, a message of onnx, or the path of a file."""

_NAME = "the ModelProto"


def as_model(given: AnyModel) -> Model:
    """The model itself, or loaded. Raises InputError, UsageError."""
    if isinstance(given, Model):
        return given
    if isinstance(given, onnx.ModelProto):
        return _from_proto(given)
    if isinstance(given, str | Path):
        return load(given)
    raise UsageError(
        f"a model is a path, an onnx.ModelProto or what nncompress.load returns, not {type(given).__name__}"
    )


def to_proto(model: Model) -> onnx.ModelProto:
    """The model as a message of onnx, weights included. Raises NoOutputError for one that protobuf cannot hold."""
    proto = onnx.ModelProto()
    proto.ParseFromString(b"".join(content(model)))
    return proto


def _from_proto(proto: onnx.ModelProto) -> Model:
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in all_tensors(proto)):
        raise InputError(f"{_NAME} names data files that it does not hold: give the path of the model instead")
    try:
        blob = proto.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise InputError(f"{_NAME} is more than protobuf can write: give the path of a file instead") from error
    return replace(checked(Path(_NAME), opened_bytes([blob], _NAME)), path=None)
