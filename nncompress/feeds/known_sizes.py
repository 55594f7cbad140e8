"""Sizes of free input dimensions that the graph itself fixes, such as the channels that a Conv's weight expects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from nncompress.feeds.sizes import key_of
from nncompress.feeds.specs import InputSpec
from nncompress.model.constants import constant_of, constant_tensor, integers_in
from nncompress.model.moves import axes_of
from nncompress.model.node_attributes import int_of, ints_of, operand, standard_op
from nncompress.model.roles import Role, operand_roles

_Axes = tuple[str | None, ...]  # for each axis of a value the key of the free dimension whose size it has

_KEEP = {
    "Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Clip", "Neg", "Abs", "Log", "Exp", "Sqrt", "Dropout", "Erf",
    "QuantizeLinear", "DequantizeLinear", "LeakyRelu", "BatchNormalization", "Softmax",
}  # fmt: skip
_ELEMENTWISE = {"Add", "Sub", "Mul", "Div"}
_RECURRENT = {"LSTM", "GRU", "RNN"}
_LENGTHS, _STATES = 4, (5, 6)  # operands that hold the lengths of sequences, and the initial states
_DECODES = {"Identity", "Cast", "DequantizeLinear", "Mul", "Sub", "Transpose"}
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


# ------------------------------------------------------------------------------------------------ demands
def _demands(node: ir.Node, position: int, rank: int) -> Iterator[tuple[int, int]]:
    """(axis, size) that `node` demands of its operand at `position`, which has `rank` axes."""
    yield from _of_product(node, position, rank)
    op = standard_op(node)
    if op in _RECURRENT:
        yield from _of_recurrent(node, position, rank)
    elif op == "Concat":
        yield from _of_concat(node, position, rank)
    elif op in _ELEMENTWISE:
        yield from _of_broadcast(node, position, rank)
    elif position == 0:
        yield from _of_channels(node, rank)


def _of_product(node: ir.Node, position: int, rank: int) -> Iterator[tuple[int, int]]:
    """Operands that are summed along one axis each have the same size there."""
    roles = {role.index: role for role in operand_roles(node) if role.kind == "linear"}
    shape = _constant_shape(operand(node, 1 - position))
    if shape is None or position not in roles or 1 - position not in roles:
        return
    own, other = _summed_axis(roles[position], rank), _summed_axis(roles[1 - position], len(shape))
    if own is not None and other is not None:
        yield own, shape[other]


def _summed_axis(role: Role, rank: int) -> int | None:
    """The axis of an operand of `rank` axes along which a product is summed, where it is one."""
    if role.contraction != "rest":
        axes = list(role.contraction)
    else:
        axes = [axis for axis in range(rank) if axis not in role.channel]
    if len(axes) != 1:
        return None
    if rank == 1:  # MatMul with a vector
        return 0
    return axes[0] % rank if -rank <= axes[0] < rank else None


def _of_channels(node: ir.Node, rank: int) -> Iterator[tuple[int, int]]:
    """Channels of data, which lie along axis 1, from the shape of a weight or of one number for each."""
    shape = _constant_shape(operand(node, 1))
    if not shape or rank < 2:
        return
    match standard_op(node):
        case "Conv" if rank == len(shape) > 2:
            group = int_of(node, "group", 1)
            if group is not None:
                yield 1, shape[1] * group
        case "ConvTranspose" if rank == len(shape) > 2:
            yield 1, shape[0]
        case "BatchNormalization" | "InstanceNormalization":
            yield 1, shape[0]


def _of_recurrent(node: ir.Node, position: int, rank: int) -> Iterator[tuple[int, int]]:
    """Of the data [steps, batch, size], and of states [directions, batch, hidden size]; layout 1: batch first."""
    if rank != 3:
        return
    batch_first = int_of(node, "layout", 0) == 1
    if position == 0:
        for place, axis in ((_LENGTHS, 0), *((state, 0 if batch_first else 1) for state in _STATES)):
            states = _fixed_shape(operand(node, place))
            if states is not None and axis < len(states):
                yield (0 if batch_first else 1), states[axis]
    shape = _constant_shape(operand(node, 1 if position == 0 else 2))
    if shape is None or len(shape) != 3:
        return
    if position == 0:
        yield 2, shape[2]
    elif position in _STATES:
        yield (1 if batch_first else 0), shape[0]
        yield 2, shape[2]


def _of_concat(node: ir.Node, position: int, rank: int) -> Iterator[tuple[int, int]]:
    """All sizes but that along which operands are joined are those of the other operands."""
    joined = int_of(node, "axis", 0)
    for place, other in enumerate(node.inputs):
        shape = None if place == position else _fixed_shape(other)
        if shape is not None and joined is not None and len(shape) == rank:
            yield from ((axis, size) for axis, size in enumerate(shape) if axis != joined % rank)


def _of_broadcast(node: ir.Node, position: int, rank: int) -> Iterator[tuple[int, int]]:
    shape = _constant_shape(operand(node, 1 - position)) or ()
    for back, size in enumerate(reversed(shape[-rank:]), start=1):
        if size > 1:
            yield rank - back, size


# ------------------------------------------------------------------------------------------------ moves
def _moved(node: ir.Node, position: int, axes: _Axes) -> _Axes | None:
    """The same for the node's first output; None where that is not known."""
    op = standard_op(node)
    if op in _ELEMENTWISE:
        other = _constant_shape(operand(node, 1 - position))
        return axes if other is not None and len(other) <= len(axes) else None
    if position != 0:
        return None
    if op in _KEEP:
        return axes
    if op == "Transpose":
        order = _order(node, len(axes))
        return None if order is None else tuple(axes[axis] for axis in order)
    if op == "Squeeze":
        return _squeezed(node, axes)
    return _unsqueezed(node, axes) if op == "Unsqueeze" else None


def _squeezed(node: ir.Node, axes: _Axes) -> _Axes | None:
    named = axes_of(node, integers_in(constant_of(operand(node, 1))))
    if named is None:
        return None
    gone = {axis % len(axes) for axis in named}
    return tuple(key for axis, key in enumerate(axes) if axis not in gone)


def _unsqueezed(node: ir.Node, axes: _Axes) -> _Axes | None:
    named = axes_of(node, integers_in(constant_of(operand(node, 1))))
    if named is None:
        return None
    rank = len(axes) + len(named)
    new = {axis % rank for axis in named}
    left = iter(axes)
    return tuple(None if axis in new else next(left) for axis in range(rank)) if len(new) == len(named) else None


def _order(node: ir.Node, rank: int) -> list[int] | None:
    """The axes of a Transpose's operand in the order in which its result has them."""
    order = ints_of(node, "perm")
    if order == []:
        return list(reversed(range(rank)))
    return order if order is not None and sorted(order) == list(range(rank)) else None


def _fixed_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """Shape of a constant, or of anything else whose shape is stated and has no free dimension."""
    shape = _constant_shape(value)
    if shape is not None or value is None or value.shape is None:
        return shape
    sizes = [size for size in value.shape if isinstance(size, int) and size >= 0]
    return tuple(sizes) if len(sizes) == len(value.shape) else None


def _constant_shape(value: ir.Value | None, depth: int = 6) -> tuple[int, ...] | None:
    """Shape of a constant, also of one that is decoded from constants (DequantizeLinear, or Cast, Sub and Mul)."""
    if value is None or depth == 0:
        return None
    tensor = constant_tensor(value)
    if tensor is not None:
        return tuple(int(size) for size in tensor.shape.numpy())
    node = value.producer()
    if node is None or standard_op(node) not in _DECODES:
        return None
    shapes = [_constant_shape(part, depth - 1) for part in node.inputs if part is not None]
    shape = shapes[0] if shapes and None not in shapes else None
    if shape is None or standard_op(node) != "Transpose":
        return shape
    order = _order(node, len(shape))
    return None if order is None else tuple(shape[axis] for axis in order)
