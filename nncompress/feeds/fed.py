"""What has to be fed to a model, as its graph states it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from nncompress.feeds.specs import InputSpec
from nncompress.model.value_types import type_of, type_text


def fed_values(model: ir.Model) -> list[ir.Value]:
    """The inputs of the graph that are no initializers."""
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def input_specs(model: ir.Model) -> tuple[InputSpec, ...]:
    """The inputs that have to be fed, in order."""
    return tuple(map(_spec, fed_values(model)))


def _spec(value: ir.Value) -> InputSpec:
    kind = type_of(value)
    holds, inner, key = _taken_apart(kind)
    shape = None if value.shape is None else tuple(_size(dim) for dim in value.shape)
    return InputSpec(
        value.name or "", _dtype(inner), () if holds[-1:] == ("map",) else shape, holds, type_text(kind), key
    )


def _taken_apart(kind: onnx.TypeProto) -> tuple[tuple[str, ...], onnx.TypeProto, type]:
    """What is around the tensors of a type, the type of these tensors, and that of the keys of a map."""
    holds: list[str] = []
    key: type = str
    while (what := kind.WhichOneof("value")) not in (None, "tensor_type"):
        holds.append(str(what).removesuffix("_type"))
        if what == "map_type":
            key = str if kind.map_type.key_type == onnx.TensorProto.STRING else int
            kind = kind.map_type.value_type
        elif what in ("sequence_type", "optional_type"):
            kind = kind.sequence_type.elem_type if what == "sequence_type" else kind.optional_type.elem_type
        else:
            break
    return tuple(holds), kind, key


def _dtype(kind: onnx.TypeProto) -> np.dtype[Any] | None:
    element = kind.tensor_type.elem_type
    if element in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return None
    return ir.DataType(element).numpy()


def _size(dim: int | ir.SymbolicDim) -> int | str | None:
    """Negative sizes and "?" are how some exporters write that a size is not known."""
    if isinstance(dim, int):
        return dim if dim >= 0 else None
    return None if dim.value in (None, "", "?") else str(dim.value)
