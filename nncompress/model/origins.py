"""Traces an operand back to the float constants that it is made of, through nodes that only rearrange them.

Exporters put Transpose, Reshape, Squeeze, Unsqueeze, Flatten, Identity, Cast, Slice, Split, Concat and a constant
factor between a weight and its reader; runtimes compute these once at load. Each constant found comes with the map from
the operand's axes to its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from nncompress.model.node_attributes import int_of, ints_of, operand, standard_op

FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
Axes = tuple[int | None, ...] | None
"""axes[i]: the axis of the constant that axis i is; None where it is mixed from several. None: not known at all."""
_Shape = list[int]
_Traced = tuple[_Shape | None, list[tuple[ir.Value, Axes]]]
_DEEPEST = 12
_MOST_ORIGINS = 64


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind an initializer or the output of a Constant node; None for anything else."""
    if value is None:
        return None
    node = value.producer()
    if node is None:
        return value.const_value
    if standard_op(node) == "Constant":
        attr = node.attributes.get("value")
        if attr is None or attr.is_ref() or attr.type != ir.AttributeType.TENSOR:
            return None
        tensor: ir.TensorProtocol = attr.value  # as_tensor() would take a hundred times as long
        return tensor
    return None


class Origins:
    """Answers `of(operand)`; remembers what it has seen, so that shared chains are walked once."""

    def __init__(self) -> None:
        self._known: dict[int, _Traced | None] = {}

    def of(self, operand: ir.Value | None) -> list[tuple[ir.Value, Axes]]:
        """The float constants of which `operand` consists, each once; [] if anything else has a part in it."""
        traced = self._trace(operand, 0) if operand is not None else None
        return traced[1] if traced else []

    def _trace(self, value: ir.Value, depth: int) -> _Traced | None:
        if id(value) not in self._known:
            self._known[id(value)] = self._traced(value, depth)
        return self._known[id(value)]

    def _traced(self, value: ir.Value, depth: int) -> _Traced | None:
        tensor = constant_tensor(value)
        if tensor is not None:
            if tensor.dtype not in FLOATS:
                return None
            shape = [int(d) for d in tensor.shape.numpy()]
            return shape, [(value, tuple(range(len(shape))))]
        node = value.producer()
        if node is None or standard_op(node) is None or depth > _DEEPEST or not node.inputs:
            return None
        if node.op_type == "Concat":
            return self._concat(node, depth)
        if node.op_type in ("Mul", "Div") and len(node.inputs) == 2:
            return self._scaled(node, depth)
        if (node.op_type not in _STEPS and node.op_type != "Split") or node.inputs[0] is None:
            return None
        inner = self._trace(node.inputs[0], depth + 1)
        if inner is None:
            return None
        before, constants = inner
        if node.op_type == "Split":
            part = _split(node, before, value) if before is not None else None
            return (part, constants) if part is not None else (None, [(v, None) for v, _ in constants])
        step = _STEPS[node.op_type](node, before) if before is not None else None
        if step is None:
            return (None, [(v, None) for v, _ in constants]) if _only_moves(node) else None
        new, moved = step
        return new, [(v, _moved(axes, moved)) for v, axes in constants]

    def _scaled(self, node: ir.Node, depth: int) -> _Traced | None:
        """A weight times a smaller float constant, such as a scalar or one number a channel.

        Not the scale times something else: that is how a weight decodes that is stored as integers.
        """
        traced = [self._trace(v, depth + 1) if v is not None else None for v in node.inputs]
        if any(part is None for part in traced):
            return None
        sizes = [math.prod(part[0] or []) for part in traced if part is not None]
        return traced[0] if sizes[0] >= sizes[1] or node.op_type == "Div" else traced[1]

    def _concat(self, node: ir.Node, depth: int) -> _Traced | None:
        parts = [self._trace(v, depth + 1) if v is not None else None for v in node.inputs]
        known = [(part[0], part[1]) for part in parts if part is not None and part[0] is not None]
        if len(known) < len(parts) or len({len(shape) for shape, _ in known if shape is not None}) != 1:
            return None
        shape: _Shape = list(known[0][0] or [])
        axis = int_of(node, "axis", 0)
        if axis is None or not -len(shape) <= axis < len(shape):
            return None
        shape[axis] = sum(part[axis] for part, _ in known if part is not None)
        origins: dict[tuple[int, Axes], tuple[ir.Value, Axes]] = {}
        for _, constants in known:
            origins.update({(id(v), axes): (v, axes) for v, axes in constants})
        return (shape, list(origins.values())) if len(origins) <= _MOST_ORIGINS else None


# ------------------------------------------------------------------------------------------------ single steps
# Each takes the node and the shape of its input, and returns the new shape and, for each new axis, the old one.
_Step = tuple[_Shape, Sequence[int | None]]


def _same(node: ir.Node, shape: _Shape) -> _Step | None:
    return shape, range(len(shape))


def _unknown(node: ir.Node, shape: _Shape) -> _Step | None:
    return None


def _cast(node: ir.Node, shape: _Shape) -> _Step | None:
    to_float = int_of(node, "to", 0) in {int(dtype) for dtype in FLOATS}
    return (shape, range(len(shape))) if to_float else None


def _transpose(node: ir.Node, shape: _Shape) -> _Step | None:
    perm = ints_of(node, "perm")
    if perm is None:
        return None
    perm = perm or list(range(len(shape)))[::-1]
    return ([shape[i] for i in perm], perm) if sorted(perm) == list(range(len(shape))) else None


def _slice(node: ir.Node, shape: _Shape) -> _Step | None:
    if len(node.inputs) < 3:
        return None
    starts, ends, axes, steps = (_integers(node, index) for index in (1, 2, 3, 4))
    if starts is None or ends is None:
        return None
    axes = axes if axes is not None else list(range(len(starts)))
    steps = steps if steps is not None else [1] * len(starts)
    new = list(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=False):
        if not -len(shape) <= axis < len(shape) or step == 0:
            return None
        new[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return new, range(len(shape))


def _split(node: ir.Node, shape: _Shape, part: ir.Value) -> _Shape | None:
    """The shape of one of its results."""
    axis, place = int_of(node, "axis", 0), part.index()
    if axis is None or place is None or not -len(shape) <= axis < len(shape):
        return None
    sizes = _integers(node, 1) if len(node.inputs) > 1 and node.inputs[1] is not None else ints_of(node, "split") or []
    if sizes is None:
        return None
    whole, count = shape[axis], len(node.outputs)
    size = -(-whole // count)  # equal parts, of which the last one may be smaller
    sizes = sizes or [min(size, whole - size * index) for index in range(count)]
    if len(sizes) != count or sum(sizes) != whole or min(sizes) < 0:
        return None
    axis %= len(shape)
    return [*shape[:axis], sizes[place], *shape[axis + 1 :]]


def _reshape(node: ir.Node, shape: _Shape) -> _Step | None:
    target = _integers(node, 1)
    if target is None:
        return None
    new = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(target)]
    if new.count(-1) == 1:
        known = math.prod(d for d in new if d != -1)
        new[new.index(-1)] = math.prod(shape) // known if known else 0
    if math.prod(new) != math.prod(shape) or any(d < 0 for d in new):
        return None
    return new, _after_reshape(shape, new)


def _flatten(node: ir.Node, shape: _Shape) -> _Step | None:
    axis = int_of(node, "axis", 1)
    if axis is None or not -len(shape) <= axis <= len(shape):
        return None
    axis += len(shape) if axis < 0 else 0
    new = [math.prod(shape[:axis]), math.prod(shape[axis:])]
    return new, _after_reshape(shape, new)


def _squeeze(node: ir.Node, shape: _Shape) -> _Step | None:
    named = axes_of(node)
    if ints_of(node, "axes") is None:
        return None
    if named is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        return None
    dropped = {a % len(shape) for a in named} if named and shape else {i for i, d in enumerate(shape) if d == 1}
    kept = [i for i in range(len(shape)) if i not in dropped]
    return [shape[i] for i in kept], kept


def _unsqueeze(node: ir.Node, shape: _Shape) -> _Step | None:
    named = axes_of(node)
    if named is None:
        return None
    rank = len(shape) + len(named)
    inserted, rest = {a % rank for a in named}, iter(range(len(shape)))
    old = [None if i in inserted else next(rest, None) for i in range(rank)]
    return [1 if i is None else shape[i] for i in old], old


_STEPS = {
    "Identity": _same,
    "Cast": _cast,
    "Transpose": _transpose,
    "Slice": _slice,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _unknown,
    "Tile": _unknown,
}


def _only_moves(node: ir.Node) -> bool:
    """True if the node never changes a float value, whatever its other inputs are."""
    return node.op_type != "Cast" or _cast(node, []) is not None


def _moved(axes: Axes, by: Sequence[int | None]) -> Axes:
    return None if axes is None else tuple(None if i is None else axes[i] for i in by)


def _integers(node: ir.Node, index: int) -> list[int] | None:
    value = operand(node, index)
    tensor = constant_tensor(value)
    if tensor is not None:
        whole = tensor.dtype in (ir.DataType.INT64, ir.DataType.INT32)
        return [int(i) for i in tensor.numpy().reshape(-1)] if whole else None
    producer = value.producer() if value is not None else None
    if producer is None or standard_op(producer) != "Constant" or "value_ints" not in producer.attributes:
        return None
    return ints_of(producer, "value_ints")


def axes_of(node: ir.Node) -> list[int] | None:
    """Axes of Squeeze and Unsqueeze: an attribute before opset 13, an input since."""
    axes = _integers(node, 1)
    return axes if axes is not None else ints_of(node, "axes") or None


def _after_reshape(old: _Shape, new: _Shape) -> list[int | None]:
    """An axis survives a reshape if it has the same size and as many elements before it as in the old shape."""
    places = {(math.prod(old[:i]), d): i for i, d in enumerate(old) if d != 1}
    return [places.get((math.prod(new[:i]), d)) if d != 1 else None for i, d in enumerate(new)]
