"""Checks that a file is a model that this version can understand at all, and asks onnx.checker about the rest."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import TensorProto

from nncompress.errors import InputError
from nncompress.model.inference import infer
from nncompress.onnx_file.checks.functions import MOST_FUNCTIONS
from nncompress.onnx_file.walk import all_tensors


def check_header(proto: onnx.ModelProto) -> None:
    """Raises InputError unless the file is a model that this version can understand at all."""
    if len(proto.functions) > MOST_FUNCTIONS:
        raise InputError(f"{len(proto.functions):,} functions are more than {MOST_FUNCTIONS:,}")
    if not proto.HasField("graph"):
        raise InputError("it is not an ONNX model: it holds no graph")
    if not all(node.op_type for node in proto.graph.node):
        raise InputError("it has a node without an operator")
    if not proto.graph.node:
        raise InputError("its graph has no nodes")
    if proto.ir_version < 1 or not proto.opset_import:
        raise InputError(f"it names no IR version or opset (IR {proto.ir_version}): it is not a complete ONNX model")
    if proto.ir_version > onnx.IR_VERSION:
        raise InputError(f"IR version {proto.ir_version} is newer than {onnx.IR_VERSION}, the newest that is known")
    newest = onnx.defs.onnx_opset_version()
    for entry in proto.opset_import:
        if entry.version < 1 or (entry.domain in ("", "ai.onnx") and entry.version > newest):
            raise InputError(f"opset {entry.version} is not between 1 and {newest}, the newest that is known")
    _check_imports("the model", proto.opset_import)
    for function in proto.functions:
        _check_imports(f"function {function.name!r}", function.opset_import)
    if proto.training_info:
        raise InputError("it holds training_info, which would be lost: export the model for inference")


def _check_imports(who: str, imports: Iterable[onnx.OperatorSetIdProto]) -> None:
    """Raises InputError where one domain is imported in two versions: readers differ in the one that they take."""
    versions: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.setdefault(domain, entry.version) != entry.version:
            both = f"{versions[domain]} and {entry.version}"
            raise InputError(f"{who} imports operators of {(domain or 'ai.onnx')!r} in two versions, {both}")


def checker_complaint(proto: onnx.ModelProto) -> str | None:
    """What onnx.checker or strict shape inference say against a model whose large data are elsewhere; None if fine."""
    hollow = onnx.ModelProto()
    hollow.CopyFrom(proto)
    for tensor in all_tensors(hollow):
        if tensor.data_location == TensorProto.EXTERNAL:  # the checker would look for the file
            del tensor.external_data[:], tensor.dims[:]
            tensor.ClearField("data_location")
            tensor.dims.append(0)
    try:
        onnx.checker.check_model(hollow)
        infer(proto, strict=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return " ".join(str(error).split())[:300]
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        return " ".join(str(error).split())[:300]
    return None
