"""Channels that products make and other products read: which constants hold something for each, so that some can go.

    made by      Conv, Gemm, MatMul: the outputs of the weight, and the bias; LSTM, GRU, RNN: states, by each gate
    on the way   what computes each channel of its own: activations, pools, normalisation by constants, arithmetic with
                 constants or channels of the same group, convolutions with a group for each, and what reshapes
    read by      Conv, Gemm, MatMul, LSTM, GRU, RNN: the inputs of the weight

Channels that meet in arithmetic are one group, whoever makes them. Where anything else reads or makes one, or the model
hands it out, there is no group: nothing can be removed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from nncompress.model.channel_groups import ChannelGroup, Holder
from nncompress.model.channel_positions import NoGroupError, Position, Sizes, moved
from nncompress.model.constants import constant_tensor, float_constant
from nncompress.model.model import Model
from nncompress.model.node_attributes import int_of, operand, standard_op
from nncompress.model.readers import is_read_once
from nncompress.model.recurrent_channels import States, reads_inputs, states_of
from nncompress.model.shapes import Shapes, infer_shapes

_ALONE = {
    *("Abs", "Cast", "Ceil", "Celu", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("Identity", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign"),
    *("Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu"),
}  # element by element
_POOLS = {"AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"}
_ARITHMETIC = {"Add", "Clip", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum"}
_MOVING = {"Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Transpose"}
_BIAS = 2


def find_channel_groups(model: Model) -> list[ChannelGroup]:
    """All groups of the main graph, in the order in which they are made."""
    groups, seen = [], set[int]()
    shapes = functools.cache(lambda: infer_shapes(model))
    for node in model.ir.graph:
        made = _made(node) or _begun(states_of(node))
        if made is None or made.channels == 0 or id(node.outputs[0]) in seen:
            continue
        search = _Search(model, made.channels, shapes)
        try:
            search.follow(node.outputs[0], made.position)
        except NoGroupError:
            continue
        finally:
            seen |= {id(value) for value, _ in search.found.values()}
        if search.readers:
            groups.append(search.group())
    return groups


@dataclass(frozen=True)
class _Made:
    """What a node makes of a weight of its own."""

    channels: int
    position: Position
    weight: Holder


def _made(node: ir.Node) -> _Made | None:
    """None for anything else."""
    shape = _weight_shape(node)
    if shape is None:
        return None
    op = standard_op(node)
    if op == "Conv":
        holder, position = Holder(node, 1, 0), Position(1 - len(shape), len(shape))
        if int_of(node, "group", 1) != 1:
            return None
    else:
        turned = op == "Gemm" and int_of(node, "transB", 0) != 0
        result = node.outputs[0].shape
        rank = 2 if op == "Gemm" else None if result is None else len(result)
        holder, position = Holder(node, 1, 0 if turned else 1), Position(-1, rank)
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

    def __init__(self, model: Model, channels: int, shapes: Callable[[], Shapes]) -> None:
        self._graph, self._channels, self._shapes = model.ir.graph, channels, shapes
        self.found: dict[int, tuple[ir.Value, Position]] = {}
        self.makers: list[Holder] = []
        self.readers: list[Holder] = []
        self._others: list[Holder] = []
        self._sizes: list[Holder] = []
        self._separate: list[ir.Node] = []
        self._recurrent: list[States] = []

    def group(self) -> ChannelGroup:
        """All of it."""
        values = tuple(value for value, _ in self.found.values())
        return ChannelGroup(
            self._channels, tuple(self.makers), tuple(self.readers), tuple(self._others), values,
            tuple(self._separate), tuple(states.maker.node for states in self._recurrent),
            tuple(start for states in self._recurrent for start in states.starts), tuple(self._sizes),
        )  # fmt: skip

    def follow(self, value: ir.Value, position: Position) -> None:
        """Everything that a value with the channels leads to, both ways. Raises NoGroupError."""
        waiting, passed = [(value, position)], dict[int, ir.Node]()
        while waiting:
            value, position = waiting.pop()
            if position.rank is None and (shape := self._shape(value)) is not None:
                position = replace(position, rank=len(shape))
            if id(value) in self.found:
                if self.found[id(value)][1] != position:
                    raise NoGroupError
                continue
            producer = value.producer()
            if producer is None or producer.graph is not self._graph or value.is_graph_output():
                raise NoGroupError
            self.found[id(value)] = (value, position)
            if id(producer) not in passed:
                waiting += self._behind(producer, value, position)
            for use in value.uses():
                if use.node.graph is not self._graph:
                    raise NoGroupError
                behind = list(self._through(use.node, use.idx, position))
                waiting += behind
                if behind:
                    passed[id(use.node)] = use.node

    # -------------------------------------------------------------------------------------------- towards the inputs
    def _behind(self, node: ir.Node, value: ir.Value, position: Position) -> Iterator[tuple[ir.Value, Position]]:
        """What the channels of that result were before; none for those that are made here."""
        op, made, states = standard_op(node), _made(node), states_of(node)
        if states is not None:
            yield from self._states(states, value, position)
            return
        if value is not node.outputs[0]:
            raise NoGroupError
        if made is not None:
            rank = position.rank if made.position.rank is None else made.position.rank
            if made.channels != self._channels or replace(made.position, rank=rank) != position:
                raise NoGroupError
            self.makers.append(made.weight)
            self._hold_bias(node)
        elif op in _ALONE | _ARITHMETIC or op in _POOLS | {"BatchNormalization", "Conv"}:
            data = [each for each in node.inputs if each is not None and not _is_constant(each)]
            if not data:
                raise NoGroupError  # of constants alone
            for each in data if op in _ARITHMETIC else data[:1]:
                yield each, position
        else:
            raise NoGroupError

    def _states(self, states: States, value: ir.Value, position: Position) -> Iterator[tuple[ir.Value, Position]]:
        """All results of a recurrent node have them."""
        node = states.maker.node
        there = dict(zip(map(id, node.outputs), _positions(states), strict=False))
        if states.channels != self._channels or there.get(id(value)) != position:
            raise NoGroupError
        if states in self._recurrent:
            return
        self.makers.append(states.maker)
        self.readers.append(states.reader)
        self._others += states.others
        self._recurrent.append(states)
        yield from zip(node.outputs[:2], _positions(states), strict=False)

    # -------------------------------------------------------------------------------------------- towards the outputs
    def _through(self, node: ir.Node, index: int, position: Position) -> Iterator[tuple[ir.Value, Position]]:
        """What has the channels behind the node; none where it sums over them."""
        op, result = standard_op(node), node.outputs[0]
        shape = _weight_shape(node)
        if shape is not None and index == 0 and op in ("Gemm", "MatMul") and position.back == -1:
            turned = op == "Gemm" and int_of(node, "transB", 0) != 0
            if op == "Gemm" and int_of(node, "transA", 0) != 0:
                raise NoGroupError
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
                raise NoGroupError
        elif index == 0 and position.back == -1 and (inputs := reads_inputs(node)) is not None:
            self.readers.append(self._holder(node, 1, 2, inputs, position))
        elif op in _ALONE or (op in _POOLS and position.is_axis(1)):
            if any(out.uses() or out.is_graph_output() for out in node.outputs[1:]):
                raise NoGroupError
            yield result, position
        elif op == "BatchNormalization" and index == 0 and position.is_axis(1) and len(node.outputs) == 1:
            for place in range(1, 5):
                self._hold(node, place, Position(-1, 1, position.run))
            yield result, position
        elif op in _ARITHMETIC:
            yield from self._arithmetic(node, position)
        elif index == 0 and (op in _MOVING or (op or "").startswith("Reduce")):
            data = operand(node, 0)
            there = moved(node, position, self._channels, None if data is None else self._shape(data))
            self._sizes += [] if there.size is None else [there.size]
            yield result, there.position
        else:
            raise NoGroupError

    def _arithmetic(self, node: ir.Node, position: Position) -> Iterator[tuple[ir.Value, Position]]:
        """All operands that are no constants have as many axes, and the channels along the same."""
        data = {id(value): value for value in node.inputs if value is not None and not _is_constant(value)}
        if len(data) > 1 and any(len(self._shape(each) or ()) != position.rank for each in data.values()):
            raise NoGroupError
        for place, value in enumerate(node.inputs):
            if value is not None and id(value) not in data:
                self._hold(node, place, position)
        yield from ((value, position) for value in data.values())
        yield node.outputs[0], position

    def _shape(self, value: ir.Value) -> Sizes | None:
        """For one sample, where that is not said; None: not known."""
        return self._shapes().get(value.name or "")

    # -------------------------------------------------------------------------------------------- constants
    def _hold_bias(self, node: ir.Node) -> None:
        if operand(node, _BIAS) is not None:
            self._hold(node, _BIAS, Position(-1, 1 if node.op_type == "Conv" else 2))

    def _hold(self, node: ir.Node, index: int, position: Position) -> None:
        """An operand that broadcasts against a value with the channels at that position."""
        tensor = constant_tensor(operand(node, index))
        if tensor is None:
            raise NoGroupError
        shape = tuple(int(d) for d in tensor.shape.numpy())
        if (position.rank is None and position.back != -1) or len(shape) > (position.rank or len(shape)):
            raise NoGroupError
        axis = len(shape) + position.back
        known = any(other.node is node and other.index == index for other in self._others)
        if axis >= 0 and shape[axis] != 1 and not known:
            self._others.append(self._holder(node, index, axis, shape, position))

    def _holder(self, node: ir.Node, index: int, axis: int, shape: tuple[int, ...], position: Position) -> Holder:
        run, rest = divmod(shape[axis], self._channels * position.outer)
        value = operand(node, index)
        if rest or run != (position.run or run) or value is None or value.is_graph_input():
            raise NoGroupError
        return Holder(node, index, axis, run, position.outer)


def _begun(states: States | None) -> _Made | None:
    """The same of a recurrent node."""
    return None if states is None else _Made(states.channels, _positions(states)[0], states.maker)


def _positions(states: States) -> tuple[Position, Position]:
    """Of all states, and of the last."""
    last = Position(-1, 3, directions=(-3, states.directions))
    return replace(last, rank=4), last


def _is_constant(value: ir.Value) -> bool:
    return constant_tensor(value) is not None
