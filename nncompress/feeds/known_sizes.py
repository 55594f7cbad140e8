"""Sizes of free input dimensions that the graph itself fixes, such as the channels that a Conv's weight expects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from nncompress.feeds.sizes import key_of
from nncompress.feeds.specs import InputSpec

_Axes = tuple[str | None, ...]  # for each axis of a value the key of the free dimension whose size it has

_KEEP = {
    "Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Clip", "Neg", "Abs", "Log", "Exp", "Sqrt", "Dropout", "Erf",
    "QuantizeLinear", "DequantizeLinear", "LeakyRelu", "Div", "BatchNormalization", "Softmax", "Add", "Sub", "Mul",
}  # fmt: skip
_MOST_STEPS = 10_000


def known_sizes(model: ir.Model, specs: Sequence[InputSpec]) -> dict[str, int]:
    """{key of a free dimension: the size that the first reader of the input demands}."""
    known: dict[str, int] = {}
    values = {value.name: value for value in model.graph.inputs}
    pending: list[tuple[ir.Value, _Axes]] = [
        (values[spec.name], tuple(None if isinstance(s, int) else key_of(spec, a) for a, s in enumerate(spec.shape)))
        for spec in specs
        if spec.shape is not None
    ]
    for _ in range(_MOST_STEPS):
        if not pending:
            break
        value, axes = pending.pop()
        if not any(axes):
            continue
        for use in value.uses():
            for axis, size in _demands(use.node, use.idx, len(axes)):
                key = axes[axis]
                if key is not None:
                    known.setdefault(key, size)
            moved = _moved(use.node, use.idx, axes)
            if moved is not None:
                pending.append((use.node.outputs[0], moved))
    return known


def _demands(node: ir.Node, position: int, rank: int) -> Iterator[tuple[int, int]]:
    """(axis, size) that `node` demands of its operand at `position`."""
    weight = [_constant_shape(value) for value in node.inputs]
    second = weight[1] if len(weight) > 1 else None
    if position == 0 and second is not None:
        yield from _demands_of_weight(node, second, rank)
    if node.op_type in {"LSTM", "GRU", "RNN"} and position in (5, 6) and rank == 3 and weight[2] is not None:
        directions, batch_first = weight[2][0], _int(node, "layout", 0) == 1
        yield (1 if batch_first else 0), directions
        yield 2, weight[2][2]
    if node.op_type in {"Add", "Sub", "Mul", "Div"} and len(weight) == 2:
        other = weight[1 - position]
        for back, size in enumerate(reversed((other or ())[-rank:]), start=1):
            if size > 1:
                yield rank - back, size


def _demands_of_weight(node: ir.Node, weight: tuple[int, ...], rank: int) -> Iterator[tuple[int, int]]:
    """(axis, size) that `node` demands of operand 0, given the shape of operand 1."""
    if node.op_type == "Conv" and rank == len(weight) and rank > 2:
        yield 1, weight[1] * _int(node, "group", 1)
    elif node.op_type == "ConvTranspose" and rank == len(weight) and rank > 2:
        yield 1, weight[0]
    elif node.op_type == "MatMul" and len(weight) >= 2:
        yield rank - 1, weight[-2]
    elif node.op_type == "Gemm" and rank == 2 and len(weight) == 2:
        yield (0 if _int(node, "transA", 0) else 1), weight[1 if _int(node, "transB", 0) else 0]
    elif node.op_type in {"LSTM", "GRU", "RNN"} and rank == 3 and len(weight) == 3:
        yield 2, weight[2]
    elif node.op_type in {"BatchNormalization", "InstanceNormalization"} and rank > 1:
        yield 1, weight[0]


def _moved(node: ir.Node, position: int, axes: _Axes) -> _Axes | None:
    """The same for the node's first output; None where that is not known."""
    if node.op_type in {"Add", "Sub", "Mul", "Div"}:
        other = _constant_shape(node.inputs[1 - position]) if len(node.inputs) == 2 else None
        return axes if other is not None and len(other) <= len(axes) else None
    if position != 0:
        return None
    if node.op_type in _KEEP:
        return axes
    if node.op_type == "Transpose":
        attribute = node.attributes.get("perm")
        order = tuple(reversed(range(len(axes)))) if attribute is None else tuple(attribute.as_ints())
        return tuple(axes[axis] for axis in order) if sorted(order) == list(range(len(axes))) else None
    return _squeezed(node, axes)


def _squeezed(node: ir.Node, axes: _Axes) -> _Axes | None:
    if node.op_type not in {"Squeeze", "Unsqueeze"}:
        return None
    named = _named_axes(node)
    if named is None:
        return None
    if node.op_type == "Squeeze":
        gone = {axis % len(axes) for axis in named}
        return tuple(key for axis, key in enumerate(axes) if axis not in gone)
    rank = len(axes) + len(named)
    new = {axis % rank for axis in named}
    left = iter(axes)
    return tuple(None if axis in new else next(left) for axis in range(rank)) if len(new) == len(named) else None


def _named_axes(node: ir.Node) -> list[int] | None:
    attribute = node.attributes.get("axes")
    if attribute is not None:
        return None if attribute.is_ref() else list(attribute.as_ints())
    value = node.inputs[1] if len(node.inputs) > 1 else None
    tensor = None if value is None else value.const_value
    return None if tensor is None else [int(axis) for axis in tensor.numpy().reshape(-1)]


def _constant_shape(value: ir.Value | None, depth: int = 6) -> tuple[int, ...] | None:
    """Shape of a constant, also of one that is decoded from constants (DequantizeLinear, or Cast, Sub and Mul)."""
    if value is None or depth == 0:
        return None
    if value.const_value is not None:
        return tuple(size if isinstance(size, int) else -1 for size in value.const_value.shape)
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Constant":
        attribute = node.attributes.get("value")
        return None if attribute is None or attribute.is_ref() else tuple(attribute.as_tensor().shape.numpy())
    if node.op_type not in {"Identity", "Cast", "DequantizeLinear", "Mul", "Sub", "Transpose"}:
        return None
    shapes = [_constant_shape(operand, depth - 1) for operand in node.inputs if operand is not None]
    if not shapes or any(shape is None for shape in shapes):
        return None
    shape = shapes[0] or ()
    perm = node.attributes.get("perm")
    if node.op_type == "Transpose":
        return tuple(shape[axis] for axis in perm.as_ints()) if perm is not None else shape[::-1]
    return shape


def _int(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_int()
