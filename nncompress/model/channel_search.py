"""Channels that products make and other products read: which constants hold something for each, so that some can go.

    made by      Conv, Gemm, MatMul: the outputs of the weight, and the bias
    on the way   what computes each channel of its own: activations, pools, normalisation by constants, arithmetic with
                 constants or channels of the same group, convolutions with a group for each, and what reshapes
    read by      Conv, Gemm, MatMul: the inputs of the weight

Channels that meet in arithmetic are one group, whoever makes them. Where anything else reads or makes one, or the model
hands it out, there is no group: nothing can be removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from nncompress.model.channel_groups import ChannelGroup, Holder
from nncompress.model.constants import constant_of, constant_tensor, float_constant, integers_in
from nncompress.model.model import Model
from nncompress.model.node_attributes import int_of, ints_of, operand, standard_op
from nncompress.model.readers import is_read_once

_ALONE = {
    *("Abs", "Cast", "Ceil", "Celu", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("Identity", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign"),
    *("Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu"),
}  # element by element
_POOLS = {"AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"}
_ARITHMETIC = {"Add", "Clip", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum"}
_BIAS = 2


def find_channel_groups(model: Model) -> list[ChannelGroup]:
    """All groups of the main graph, in the order in which they are made."""
    groups, seen = [], set[int]()
    for node in model.ir.graph:
        made = _made(node)
        if made is None or id(node.outputs[0]) in seen:
            continue
        search = _Search(model, made.channels)
        try:
            search.follow(node.outputs[0], made.position)
        except _NoGroupError:
            continue
        finally:
            seen |= {id(value) for value, _ in search.found.values()}
        if search.readers:
            groups.append(search.group())
    return groups


class _NoGroupError(Exception):
    """Something makes or reads the channels that cannot do with fewer."""


@dataclass(frozen=True)
class _Position:
    """Where the channels of a value are."""

    back: int  # their axis, from the end: -1 is the last
    rank: int | None
    run: int | None = 1  # numbers in a row for each; None: not known

    def is_axis(self, axis: int) -> bool:
        """True if that is their axis from the front."""
        return self.rank is not None and self.rank + self.back == axis


@dataclass(frozen=True)
class _Made:
    """What a product makes of a weight of its own."""

    channels: int
    position: _Position
    weight: Holder


def _made(node: ir.Node) -> _Made | None:
    """None for anything else."""
    shape = _weight_shape(node)
    if shape is None:
        return None
    op = standard_op(node)
    if op == "Conv":
        holder, position = Holder(node, 1, 0), _Position(1 - len(shape), len(shape))
        if int_of(node, "group", 1) != 1:
            return None
    else:
        turned = op == "Gemm" and int_of(node, "transB", 0) != 0
        result = node.outputs[0].shape
        rank = 2 if op == "Gemm" else None if result is None else len(result)
        holder, position = Holder(node, 1, 0 if turned else 1), _Position(-1, rank)
    return _Made(shape[holder.axis], position, holder)


def _weight_shape(node: ir.Node) -> tuple[int, ...] | None:
    """Of a constant that this product alone reads, once; None for anything else."""
    value = operand(node, 1)
    tensor = float_constant(value)
    if standard_op(node) not in ("Conv", "Gemm", "MatMul") or value is None or tensor is None:
        return None
    shape = tuple(int(d) for d in tensor.shape.numpy())
    fits = len(shape) > 2 if node.op_type == "Conv" else len(shape) == 2
    return shape if fits and is_read_once(value) and int_of(node, "transB", 0) is not None else None


class _Search:
    """What belongs to one group, as far as it has been followed."""

    def __init__(self, model: Model, channels: int) -> None:
        self._graph, self._channels = model.ir.graph, channels
        self.found: dict[int, tuple[ir.Value, _Position]] = {}
        self.makers: list[Holder] = []
        self.readers: list[Holder] = []
        self._others: list[Holder] = []
        self._sizes: list[Holder] = []
        self._separate: list[ir.Node] = []

    def group(self) -> ChannelGroup:
        """All of it."""
        values = tuple(value for value, _ in self.found.values())
        return ChannelGroup(
            self._channels, tuple(self.makers), tuple(self.readers), tuple(self._others), values,
            tuple(self._separate), tuple(self._sizes),
        )  # fmt: skip

    def follow(self, value: ir.Value, position: _Position) -> None:
        """Everything that a value with the channels leads to, both ways. Raises _NoGroupError."""
        waiting, done = [(value, position)], dict[int, ir.Node]()
        while waiting:
            value, position = waiting.pop()
            if id(value) in self.found:
                if self.found[id(value)][1].back != position.back:
                    raise _NoGroupError
                continue
            producer = value.producer()
            if producer is None or producer.graph is not self._graph or value.is_graph_output():
                raise _NoGroupError
            self.found[id(value)] = (value, position)
            if id(producer) not in done:
                waiting += self._behind(producer, value, position)
            for use in value.uses():
                if use.node.graph is not self._graph:
                    raise _NoGroupError
                waiting += self._through(use.node, use.idx, position)
                done[id(use.node)] = use.node

    # -------------------------------------------------------------------------------------------- towards the inputs
    def _behind(self, node: ir.Node, value: ir.Value, position: _Position) -> Iterator[tuple[ir.Value, _Position]]:
        """What the channels of that result were before; none for those that are made here."""
        op, made = standard_op(node), _made(node)
        if value is not node.outputs[0]:
            raise _NoGroupError
        if made is not None:
            if (made.channels, made.position.back, position.run) != (self._channels, position.back, 1):
                raise _NoGroupError
            self.makers.append(made.weight)
            self._hold_bias(node)
        elif op in _ALONE | _ARITHMETIC or op in _POOLS | {"BatchNormalization", "Conv"}:
            data = [each for each in node.inputs if each is not None and not _is_constant(each)]
            for each in data if op in _ARITHMETIC else data[:1]:
                yield each, position
        else:
            raise _NoGroupError

    # -------------------------------------------------------------------------------------------- towards the outputs
    def _through(self, node: ir.Node, index: int, position: _Position) -> Iterator[tuple[ir.Value, _Position]]:
        """What has the channels behind the node; none where it sums over them."""
        op, result = standard_op(node), node.outputs[0]
        shape = _weight_shape(node)
        if shape is not None and index == 0 and op in ("Gemm", "MatMul") and position.back == -1:
            turned = op == "Gemm" and int_of(node, "transB", 0) != 0
            if op == "Gemm" and int_of(node, "transA", 0) != 0:
                raise _NoGroupError
            self.readers.append(self._holder(node, 1, 1 if turned else 0, shape, position))
        elif shape is not None and op == "Conv" and index == 0 and position.is_axis(1) and position.run == 1:
            if int_of(node, "group", 1) == 1:
                self.readers.append(self._holder(node, 1, 1, shape, position))
            elif int_of(node, "group", 1) == self._channels == shape[0]:
                self._others.append(Holder(node, 1, 0))
                self._hold_bias(node)
                self._separate.append(node)
                yield result, position
            else:
                raise _NoGroupError
        elif op in _ALONE or (op in _POOLS and position.is_axis(1)):
            if any(out.uses() for out in node.outputs[1:]):
                raise _NoGroupError
            yield result, position
        elif op == "BatchNormalization" and index == 0 and position.is_axis(1) and len(node.outputs) == 1:
            for place in range(1, 5):
                self._hold(node, place, _Position(-1, 1, position.run))
            yield result, position
        elif op in _ARITHMETIC:
            yield from self._arithmetic(node, position)
        elif op in ("Flatten", "Reshape", "Squeeze", "Transpose") or (op or "").startswith("Reduce"):
            yield result, self._moved(node, position)
        else:
            raise _NoGroupError

    def _arithmetic(self, node: ir.Node, position: _Position) -> Iterator[tuple[ir.Value, _Position]]:
        """All operands that are no constants have the channels at the same place."""
        for place, value in enumerate(node.inputs):
            if value is None:
                continue
            if _is_constant(value):
                self._hold(node, place, position)
            else:
                yield value, position
        yield node.outputs[0], position

    def _moved(self, node: ir.Node, position: _Position) -> _Position:
        """Behind what reshapes."""
        op, rank = standard_op(node), position.rank
        if rank is None:
            raise _NoGroupError
        axis = rank + position.back
        if op == "Flatten" and int_of(node, "axis", 1) == axis:
            return _Position(-1, 2, position.run if axis == rank - 1 else None)
        if op == "Reshape" and position.is_axis(1) and not int_of(node, "allowzero", 0):
            sizes = integers_in(constant_of(operand(node, 1)))
            if sizes is not None and len(sizes) == 2 and sizes[0] in (0, 1, -1) and sizes[1] != 0:
                if sizes[1] == -1:
                    return _Position(-1, 2, None)
                if sizes[1] % self._channels == 0 and (position.run or 1) == 1:
                    run = sizes[1] // self._channels
                    self._sizes.append(Holder(node, 1, 1, run))
                    return _Position(-1, 2, run)
        if op == "Transpose" and sorted(order := ints_of(node, "perm") or []) == list(range(rank)):
            return replace(position, back=order.index(axis) - rank)
        if op == "Squeeze" or (op or "").startswith("Reduce"):
            gone = ints_of(node, "axes") or integers_in(constant_of(operand(node, 1)))
            gone = [each + rank if each < 0 else each for each in gone or []]
            if gone and axis not in gone:
                if op != "Squeeze" and int_of(node, "keepdims", 1) == 1:
                    return position
                return replace(position, back=position.back + sum(each > axis for each in gone), rank=rank - len(gone))
        raise _NoGroupError

    # -------------------------------------------------------------------------------------------- constants
    def _hold_bias(self, node: ir.Node) -> None:
        if operand(node, _BIAS) is not None:
            self._hold(node, _BIAS, _Position(-1, 1 if node.op_type == "Conv" else 2))

    def _hold(self, node: ir.Node, index: int, position: _Position) -> None:
        """An operand that broadcasts against a value with the channels at that position."""
        tensor = constant_tensor(operand(node, index))
        if tensor is None:
            raise _NoGroupError
        shape = tuple(int(d) for d in tensor.shape.numpy())
        if (position.rank is None and position.back != -1) or len(shape) > (position.rank or len(shape)):
            raise _NoGroupError
        axis = len(shape) + position.back
        known = any(other.node is node and other.index == index for other in self._others)
        if axis >= 0 and shape[axis] != 1 and not known:
            self._others.append(self._holder(node, index, axis, shape, position))

    def _holder(self, node: ir.Node, index: int, axis: int, shape: tuple[int, ...], position: _Position) -> Holder:
        run, rest = divmod(shape[axis], self._channels)
        value = operand(node, index)
        if rest or run != (position.run or run) or value is None or value.is_graph_input():
            raise _NoGroupError
        return Holder(node, index, axis, run)


def _is_constant(value: ir.Value) -> bool:
    return constant_tensor(value) is not None
