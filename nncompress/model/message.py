"""A model as a protobuf message whose large tensors are marks in place of data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import onnx
import onnx_ir as ir

from nncompress.model.model import Model, attribute_holders
from nncompress.model.value_types import proto_of

LARGE_BYTES = 4096  # payloads from here on are cut; smaller ones are not worth a read of their own


def marked_proto(model: Model, mark: str) -> onnx.ModelProto:
    """The model as a message without its large tensors, for tools that look at the graph only."""
    with marked_tensors(model, mark):
        return proto_of(model.ir)


@contextmanager
def marked_tensors(model: Model, mark: str) -> Iterator[list[ir.TensorProtocol]]:
    """For a while, every large tensor is an external one whose location is `mark` and whose offset is its number."""
    tensors: list[ir.TensorProtocol] = []
    undo: list[Callable[[], None]] = []

    def marked(tensor: ir.TensorProtocol) -> ir.ExternalTensor:
        tensors.append(tensor)
        return ir.ExternalTensor(
            mark, len(tensors) - 1, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()),
            name=tensor.name or "", doc_string=tensor.doc_string, metadata_props=dict(tensor.metadata_props) or None,
        )  # fmt: skip

    try:
        for scope in model.scopes():
            for value in getattr(scope, "initializers", {}).values():
                if _is_large(value.const_value):
                    undo.append(partial(setattr, value, "const_value", value.const_value))
                    value.const_value = marked(value.const_value)
                    value.const_value.name = value.name or value.const_value.name
            for holder in attribute_holders(scope):
                for attr in list(holder.attributes.values()):
                    if not attr.is_ref() and attr.type == ir.AttributeType.TENSOR and _is_large(attr.value):
                        undo.append(partial(holder.attributes.__setitem__, attr.name, attr))
                        holder.attributes[attr.name] = ir.AttrTensor(attr.name, marked(attr.value))
        yield tensors
    finally:
        for step in undo:
            step()


def replace_external(model: Model, reader: Callable[[ir.ExternalTensor], ir.TensorProtocol]) -> None:
    """Puts what `reader` makes of them in the place of onnx-ir's external tensors."""
    for scope in model.scopes():
        for value in getattr(scope, "initializers", {}).values():
            if isinstance(value.const_value, ir.ExternalTensor):
                value.const_value = reader(value.const_value)
        for holder in attribute_holders(scope):
            _replace_in_attributes(holder, reader)


def _replace_in_attributes(
    holder: ir.Node | ir.Function, reader: Callable[[ir.ExternalTensor], ir.TensorProtocol]
) -> None:
    for attr in list(holder.attributes.values()):
        if attr.is_ref():
            continue
        if attr.type == ir.AttributeType.TENSOR and isinstance(attr.value, ir.ExternalTensor):
            holder.attributes[attr.name] = ir.AttrTensor(attr.name, reader(attr.value))
        elif attr.type == ir.AttributeType.TENSORS and any(isinstance(t, ir.ExternalTensor) for t in attr.value):
            tensors = [reader(t) if isinstance(t, ir.ExternalTensor) else t for t in attr.value]
            holder.attributes[attr.name] = ir.AttrTensors(attr.name, tensors)


def _is_large(tensor: ir.TensorProtocol | None) -> bool:
    return tensor is not None and tensor.dtype != ir.DataType.STRING and tensor.nbytes >= LARGE_BYTES
