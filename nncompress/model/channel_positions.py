"""Where the channels of a value are among its axes, and where nodes that reshape it move them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from nncompress.model.channel_groups import Holder
from nncompress.model.constants import constant_of, integers_in
from nncompress.model.node_attributes import int_of, ints_of, operand, standard_op

Sizes = tuple[int | None, ...]
"""Of a shape; None: not known."""


class NoGroupError(Exception):
    """Something makes or reads the channels that cannot do with fewer."""


@dataclass(frozen=True)
class Position:
    """Where the channels of a value are."""

    back: int  # their axis, from the end: -1 is the last
    rank: int | None
    run: int | None = 1  # numbers in a row for each; None: not known
    outer: int = 1  # so many times all of them
    directions: tuple[int, int] | None = None  # of a recurrence: their axis, from the end, and how many

    def is_axis(self, axis: int) -> bool:
        """True if that is their axis from the front."""
        return self.rank is not None and self.rank + self.back == axis


@dataclass(frozen=True)
class Moved:
    """Where the channels are behind a node, and the shape in which it says how many there are, if it does."""

    position: Position
    size: Holder | None = None


def moved(node: ir.Node, position: Position, channels: int, shape: Sizes | None) -> Moved:
    """Behind what reshapes, or picks along other axes, a value of this shape for one sample. Raises NoGroupError where
    that is not known, or not so."""
    op, rank = standard_op(node), position.rank
    if rank is None:
        raise NoGroupError
    axis = rank + position.back
    if op == "Reshape" and not int_of(node, "allowzero", 0):
        return _reshaped(node, position, channels, shape)
    if op == "Flatten" and int_of(node, "axis", 1) == axis and position.directions is None:
        return Moved(replace(position, back=-1, rank=2, run=position.run if axis == rank - 1 else None))
    if op == "Transpose" and sorted(order := ints_of(node, "perm") or []) == list(range(rank)):
        return Moved(_renumbered(position, [order.index(old) for old in range(rank)], rank))
    if op in ("Gather", "Slice"):
        return Moved(_picked(node, position, rank))
    if op == "Squeeze" or (op or "").startswith("Reduce"):
        gone = ints_of(node, "axes") or integers_in(constant_of(operand(node, 1)))
        gone = [each + rank if each < 0 else each for each in gone or []]
        if gone and axis not in gone:
            keeps = op != "Squeeze" and int_of(node, "keepdims", 1) == 1
            return Moved(position if keeps else _without(position, gone, rank))
    raise NoGroupError


def _reshaped(node: ir.Node, position: Position, channels: int, shape: Sizes | None) -> Moved:
    """All axes from that of the channels on become one, or those of directions and channels; each row stays one."""
    given, directions = operand(node, 1), position.directions
    sizes = integers_in(constant_of(given))
    if not sizes or sizes[-1] == 0 or given is None or given.is_graph_input():
        raise NoGroupError
    run, outer = position.run, position.outer
    if position.is_axis(1) and directions is None and len(sizes) == 2:
        run = run if position.rank == 2 else None
        row = _row(shape) if run is None else channels * outer * run
    elif directions is not None and directions[0] == -2 and position.back == -1 and len(sizes) in (2, 3):
        outer *= directions[1]
        row = channels * outer * (run or 1)
    else:
        raise NoGroupError
    if sizes[-1] != row and any(sizes[:-1]):  # 0: as before
        raise NoGroupError
    behind = Position(-1, len(sizes), run, outer)
    if sizes[-1] == -1:
        return Moved(behind)
    each, rest = divmod(sizes[-1], channels * outer)
    if rest or each != (run or each):
        raise NoGroupError
    return Moved(replace(behind, run=each), Holder(node, 1, len(sizes) - 1, each, outer))


def _row(shape: Sizes | None) -> int | None:
    """Elements of one sample; None: not known."""
    sizes = [size for size in (shape or ())[1:] if size is not None]
    return math.prod(sizes) if shape and len(sizes) == len(shape) - 1 else None


def _renumbered(position: Position, places: Sequence[int], rank: int) -> Position:
    """Where axes come to be at `places`, of so many."""
    known = position.rank or rank
    directions = position.directions
    if directions is not None:
        directions = (places[known + directions[0]] - rank, directions[1])
    return replace(position, back=places[known + position.back] - rank, rank=rank, directions=directions)


def _without(position: Position, gone: Sequence[int], rank: int) -> Position:
    """Without these axes, of so many."""
    directions = position.directions
    if directions is not None and rank + directions[0] in gone:
        if directions[1] != 1:
            raise NoGroupError
        position = replace(position, directions=None)
    places = [axis - sum(each < axis for each in gone) for axis in range(rank)]
    return _renumbered(position, places, rank - len(gone))


def _picked(node: ir.Node, position: Position, rank: int) -> Position:
    """What Gather and Slice take along other axes."""
    own = {rank + position.back, *(() if position.directions is None else (rank + position.directions[0],))}
    if standard_op(node) == "Gather":
        axis, chosen = int_of(node, "axis", 0), constant_of(operand(node, 1))
        if axis is not None and chosen is not None and axis % rank not in own and len(chosen.shape) < 2:
            return position if len(chosen.shape) else _without(position, [axis % rank], rank)
    else:
        axes = integers_in(constant_of(operand(node, 3)))
        if axes is not None and not own.intersection(axis % rank for axis in axes):
            return position
    raise NoGroupError
