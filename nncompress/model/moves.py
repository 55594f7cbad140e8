"""How nodes that only rearrange a tensor, or pick out of it, move its axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from nncompress.model.calls import NodeLike
from nncompress.model.constants import FLOATS, constant_of, integers_in
from nncompress.model.node_attributes import int_of, ints_of, operand

Shape = list[int]
_FEWEST_STACKED = 3  # axes of a stack of matrices; what has fewer is a table, out of which rows are looked up


@dataclass(frozen=True)
class Move:
    """A node that rearranges its first operand, which of its results is meant, and what is known of other operands."""

    node: NodeLike
    place: int
    constant: Callable[[ir.Value | None], ir.TensorProtocol | None]
    rank: Callable[[ir.Value | None], int | None]

    def integers(self, index: int) -> list[int] | None:
        """What a constant operand holds; None where it is none, or left out."""
        return integers_in(self.constant(operand(self.node, index)))

    def has(self, index: int) -> bool:
        """True if the operand is not left out."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None


@dataclass(frozen=True)
class Step:
    """What a move makes of a tensor. Sizes along axes of which a part is read, nobody knows which, are as before."""

    shape: Shape
    axes: Sequence[int | None]  # for each new axis the old one; None: it is mixed of several, or new
    picked: Sequence[int] = ()  # old axes along which one index at a time is read


def moves(node: NodeLike) -> bool:
    """True for an operator that makes its result of elements of its first operand."""
    return node.domain == "" and node.op_type in _STEPS


def step_of(move: Move, shape: Shape) -> Step | None:
    """What it makes of a tensor of that shape; None where that is not known."""
    return _STEPS[move.node.op_type](move, shape)


def keeps_kind(move: Move, shape: Shape | None) -> bool:
    """False where what comes out is no float weight any more: integers, or rows that were looked up."""
    match move.node.op_type:
        case "Cast":
            return _cast(move, []) is not None
        case "Gather" | "GatherND":
            return shape is not None and _STEPS[move.node.op_type](move, shape) is not None
    return True


# ------------------------------------------------------------------------------------------------ one function a node
def _same(move: Move, shape: Shape) -> Step | None:
    return Step(shape, range(len(shape)))


def _unknown(move: Move, shape: Shape) -> Step | None:
    return None


def _cast(move: Move, shape: Shape) -> Step | None:
    to_float = int_of(move.node, "to", 0) in {int(dtype) for dtype in FLOATS}
    return Step(shape, range(len(shape))) if to_float else None


def _transpose(move: Move, shape: Shape) -> Step | None:
    perm = ints_of(move.node, "perm")
    if perm is None:
        return None
    perm = perm or list(range(len(shape)))[::-1]
    return Step([shape[i] for i in perm], perm) if sorted(perm) == list(range(len(shape))) else None


def _slice(move: Move, shape: Shape) -> Step | None:
    if move.has(1):
        starts, ends, axes, steps = (move.integers(index) for index in (1, 2, 3, 4))
    else:  # before opset 10
        starts, ends, axes = (ints_of(move.node, name) for name in ("starts", "ends", "axes"))
        axes, steps = axes or None, None
    if starts is None or ends is None:
        return Step(shape, range(len(shape)))
    axes = axes if axes is not None else list(range(len(starts)))
    steps = steps if steps is not None else [1] * len(starts)
    new = list(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=False):
        if not -len(shape) <= axis < len(shape) or step == 0:
            return None
        new[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return Step(new, range(len(shape)))


def _split(move: Move, shape: Shape) -> Step | None:
    axis = int_of(move.node, "axis", 0)
    if axis is None or not -len(shape) <= axis < len(shape):
        return None
    sizes = move.integers(1) if move.has(1) else ints_of(move.node, "split") or []
    if sizes is None:
        return None
    whole, count = shape[axis], len(move.node.outputs)
    size = -(-whole // count)  # equal parts, of which the last one may be smaller
    sizes = sizes or [min(size, whole - size * index) for index in range(count)]
    if len(sizes) != count or sum(sizes) != whole or min(sizes) < 0:
        return None
    axis %= len(shape)
    return Step([*shape[:axis], sizes[move.place], *shape[axis + 1 :]], range(len(shape)))


def _gather(move: Move, shape: Shape) -> Step | None:
    axis, indices = int_of(move.node, "axis", 0), operand(move.node, 1)
    constant, rank = move.constant(indices), move.rank(indices)
    if axis is None or rank is None or not -len(shape) <= axis < len(shape):
        return None
    if constant is None and rank > 0 and len(shape) < _FEWEST_STACKED:
        return None
    axis %= len(shape)
    before, behind = list(range(axis)), list(range(axis + 1, len(shape)))
    read = [int(d) for d in constant.shape.numpy()] if constant is not None else [shape[axis]] * rank
    new: list[int | None] = [*before, *([axis] if rank == 1 else [None] * rank), *behind]
    return Step([*shape[:axis], *read, *shape[axis + 1 :]], new, () if rank == 1 else (axis,))


def _gather_nd(move: Move, shape: Shape) -> Step | None:
    indices = operand(move.node, 1)
    constant = move.constant(indices)
    sizes, depth = _index_sizes(indices, constant)
    if depth is None or not 0 < depth <= len(shape) or int_of(move.node, "batch_dims", 0) != 0:
        return None
    if constant is None and sizes and len(shape) - depth + 1 < _FEWEST_STACKED:
        return None
    rest = range(depth, len(shape))
    return Step([*sizes, *shape[depth:]], [*([None] * len(sizes)), *rest], range(depth))


def picked_depth(node: NodeLike) -> int | None:
    """How many axes the indices of a GatherND number together; None: not known."""
    indices = operand(node, 1)
    return _index_sizes(indices, constant_of(indices))[1]


def _index_sizes(indices: ir.Value | None, constant: ir.TensorProtocol | None) -> tuple[Shape, int | None]:
    """The sizes of all axes but the last, 1 where one is not known, and that of the last; None: not known."""
    shape = constant.shape if constant is not None else indices.shape if indices is not None else None
    *sizes, depth = shape or (None,)
    return [d if isinstance(d, int) else 1 for d in sizes], depth if isinstance(depth, int) else None


def _gather_elements(move: Move, shape: Shape) -> Step | None:
    constant = move.constant(operand(move.node, 1))
    sizes = [int(d) for d in constant.shape.numpy()] if constant is not None else shape
    return Step(sizes, range(len(shape))) if len(sizes) == len(shape) else None


def _reshape(move: Move, shape: Shape) -> Step | None:
    target = move.integers(1)
    if target is None:
        return None
    new = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(target)]
    if new.count(-1) == 1:
        known = math.prod(d for d in new if d != -1)
        new[new.index(-1)] = math.prod(shape) // known if known else 0
    if math.prod(new) != math.prod(shape) or any(d < 0 for d in new):
        return None
    return Step(new, _after_reshape(shape, new))


def _flatten(move: Move, shape: Shape) -> Step | None:
    axis = int_of(move.node, "axis", 1)
    if axis is None or not -len(shape) <= axis <= len(shape):
        return None
    axis += len(shape) if axis < 0 else 0
    new = [math.prod(shape[:axis]), math.prod(shape[axis:])]
    return Step(new, _after_reshape(shape, new))


def _squeeze(move: Move, shape: Shape) -> Step | None:
    named = axes_of(move.node, move.integers(1))
    if ints_of(move.node, "axes") is None:
        return None
    if named is None and move.has(1):
        return None
    dropped = {a % len(shape) for a in named} if named and shape else {i for i, d in enumerate(shape) if d == 1}
    kept = [i for i in range(len(shape)) if i not in dropped]
    return Step([shape[i] for i in kept], kept)


def _unsqueeze(move: Move, shape: Shape) -> Step | None:
    named = axes_of(move.node, move.integers(1))
    if named is None:
        return None
    rank = len(shape) + len(named)
    inserted, rest = {a % rank for a in named}, iter(range(len(shape)))
    old = [None if i in inserted else next(rest, None) for i in range(rank)]
    return Step([1 if i is None else shape[i] for i in old], old)


_STEPS: dict[str, Callable[[Move, Shape], Step | None]] = {
    "Identity": _same,
    "Cast": _cast,
    "Transpose": _transpose,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "GatherElements": _gather_elements,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _unknown,
    "Tile": _unknown,
}


def axes_of(node: NodeLike, given: list[int] | None) -> list[int] | None:
    """Axes of Squeeze and Unsqueeze: an attribute before opset 13, an input since, which holds what is `given`."""
    return given if given is not None else ints_of(node, "axes") or None


def _after_reshape(old: Shape, new: Shape) -> list[int | None]:
    """An axis survives a reshape if it has the same size and as many elements before it as in the old shape."""
    places = {(math.prod(old[:i]), d): i for i, d in enumerate(old) if d != 1}
    return [places.get((math.prod(new[:i]), d)) if d != 1 else None for i, d in enumerate(new)]
