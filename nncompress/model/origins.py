"""Traces an operand back to the float constants that it is made of, wherever they lie.

Exporters put nodes that only rearrange constants (see moves.py), Concat, a constant factor and If between a weight and
its reader, hand weights to functions, carry them through Loop, and let Scan, Gather or SequenceAt pick them out of a
stack. Runtimes compute most of this once at load. Each constant found comes with the map from the operand's axes to
its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx_ir as ir

from nncompress.model.calls import Call, Calls, NodeLike, bound
from nncompress.model.constants import FLOATS, constant_of, constant_tensor
from nncompress.model.model import Model, Scope, bodies_below
from nncompress.model.moves import Move, Shape, Step, keeps_kind, moves, step_of
from nncompress.model.node_attributes import int_of, ints_of, operand, standard_op

Axes = tuple[int | None, ...] | None
"""axes[i]: the axis of the constant that axis i is; None where it is mixed from several. None: not known at all."""
_DEEPEST = 100
_MOST_ORIGINS = 64
_CARRIED_FROM = 2  # the first carried value of a Loop, behind the iteration number and the condition


@dataclass(frozen=True)
class Origin:
    """A constant of which an operand consists."""

    value: ir.Value
    axes: Axes
    picked: tuple[int, ...] = ()  # axes of the constant along which one index at a time is read
    call: Call | None = None  # in which the constant lies
    handed: int | None = None  # as which operand of a call it enters the function in which the reader lies

    def moved(self, step: Step | None) -> Origin:
        """The same behind one more node; None: nobody knows where its axes are then."""
        if step is None or self.axes is None:
            return replace(self, axes=None)
        picked = {axis for i in step.picked if (axis := self.axes[i]) is not None}
        axes = tuple(None if i is None else self.axes[i] for i in step.axes)
        return replace(self, axes=axes, picked=tuple(sorted({*self.picked, *picked})))


@dataclass(frozen=True)
class _Traced:
    shape: Shape | None  # of the operand; None: not known
    origins: list[Origin]

    def moved(self, step: Step | None) -> _Traced:
        return _Traced(None if step is None else step.shape, [origin.moved(step) for origin in self.origins])


class Origins:
    """Answers `of(operand, call)`; remembers what it has seen, so that shared chains are walked once."""

    def __init__(self, model: Model) -> None:
        self.calls = Calls(model)
        self._known: dict[tuple[int, int], _Traced | None] = {}
        self._alive: list[Call] = []  # as their ids are keys
        self._inside: dict[int, tuple[ir.Node | None, int]] = {}  # inputs of functions (None) and of bodies of nodes
        for function in model.ir.functions.values():
            self._inside.update((id(value), (None, i)) for i, value in enumerate(function.inputs))
        roots: list[Scope] = [model.ir.graph, *model.ir.functions.values()]
        for root in roots:
            for node, graph in bodies_below(root):
                self._inside.update((id(value), (node, i)) for i, value in enumerate(graph.inputs))

    def of(self, operand: ir.Value | None, call: Call | None) -> list[Origin]:
        """The float constants of which `operand` of a node that `call` reaches consists, each once; [] if anything
        else has a part in it."""
        traced = self._trace(operand, call, 0)
        return traced.origins if traced else []

    def shape_of(self, operand: ir.Value | None, call: Call | None) -> Shape | None:
        """That of the operand; None where it is not known, or something else than constants has a part in it."""
        traced = self._trace(operand, call, 0)
        return traced.shape if traced else None

    def _trace(self, value: ir.Value | None, call: Call | None, depth: int) -> _Traced | None:
        if value is None or depth > _DEEPEST:
            return None
        key = (id(value), id(call))
        if key not in self._known:
            self._known[key] = None  # a value that is made of itself is made of nothing known
            if call is not None:
                self._alive.append(call)
            self._known[key] = self._traced(value, call, depth)
        return self._known[key]

    def _traced(self, value: ir.Value, call: Call | None, depth: int) -> _Traced | None:
        tensor = constant_tensor(value)
        if tensor is not None:
            if tensor.dtype not in FLOATS:
                return None
            shape = [int(d) for d in tensor.shape.numpy()]
            return _Traced(shape, [Origin(value, tuple(range(len(shape))), call=call)])
        producer = value.producer()
        if producer is None:
            return self._entering(value, call, depth)
        function = self.calls.function_of(producer)
        if function is not None:
            place = value.index() or 0
            inner = function.outputs[place] if place < len(function.outputs) else None
            return self._trace(inner, Call(producer, function, call), depth + 1)
        node = bound(producer, call)
        if moves(node):
            return self._moved(node, value.index() or 0, call, depth)
        match standard_op(node), len(node.inputs):
            case "Concat", _:
                return self._concat(node, call, depth)
            case "QuantizeLinear" | "DequantizeLinear", _:  # of floats, and back: a weight that training has rounded
                return self._trace(operand(node, 0), call, depth + 1)
            case "Mul" | "Div", 2:
                return self._scaled(node, call, depth)
            case "If", _:
                place = value.index() or 0
                ends = [graph.outputs[place] for graph in _bodies(producer) if place < len(graph.outputs)]
                return _either(self._trace(end, call, depth + 1) for end in ends)
            case "SequenceAt", _:
                stack = operand(node, 0)
                maker = stack.producer() if stack is not None else None
                if maker is not None and standard_op(maker) == "SequenceConstruct":
                    return _either(self._trace(part, call, depth + 1) for part in maker.inputs)
        return None

    def _moved(self, node: NodeLike, place: int, call: Call | None, depth: int) -> _Traced | None:
        inner = self._trace(operand(node, 0), call, depth + 1)
        if inner is None:
            return None
        move = Move(
            node, place, lambda value: constant_of(self._given(value, call)), lambda value: self._rank(value, call)
        )
        if not keeps_kind(move, inner.shape):
            return None
        return inner.moved(step_of(move, inner.shape) if inner.shape is not None else None)

    def _scaled(self, node: NodeLike, call: Call | None, depth: int) -> _Traced | None:
        """A weight times a smaller float constant, such as a scalar or one number a channel.

        Not the scale times something else: that is how a weight decodes that is stored as integers. And nobody knows
        which of two of a size is the weight: such a product is computed before, see arithmetic.py.
        """
        first, second = (self._trace(value, call, depth + 1) for value in node.inputs)
        if first is None or second is None:
            return None
        sizes = [math.prod(part.shape or []) for part in (first, second)]
        if node.op_type == "Div" or sizes[0] > sizes[1] or max(sizes) == 1:
            return first
        return second if sizes[0] < sizes[1] else None

    def _concat(self, node: NodeLike, call: Call | None, depth: int) -> _Traced | None:
        parts = [self._trace(value, call, depth + 1) for value in node.inputs]
        shapes = [part.shape for part in parts if part is not None and part.shape is not None]
        if len(shapes) < len(parts) or len({len(shape) for shape in shapes}) != 1:
            return None
        shape, axis = list(shapes[0]), int_of(node, "axis", 0)
        if axis is None or not -len(shape) <= axis < len(shape):
            return None
        shape[axis] = sum(part[axis] for part in shapes)
        origins = list(dict.fromkeys(origin for part in parts if part is not None for origin in part.origins))
        return _Traced(shape, origins) if len(origins) <= _MOST_ORIGINS else None

    # -------------------------------------------------------------------------------------------- from outside
    def _entering(self, value: ir.Value, call: Call | None, depth: int) -> _Traced | None:
        """What a function or the body of a node is given under this name."""
        node, place = self._inside.get(id(value), (None, -1))
        if node is None:
            if call is None or place < 0:
                return None
            traced = self._trace(operand(call.node, place), call.outer, depth + 1)
            return traced and _Traced(traced.shape, [_handed(origin, call, place) for origin in traced.origins])
        bodies = _bodies(node)
        if len(bodies) != 1:
            return None
        body = bodies[0]
        if standard_op(node) == "Loop" and place >= _CARRIED_FROM and _stays(body, place - 1, value):
            return self._trace(operand(node, place), call, depth + 1)
        scanned = int_of(bound(node, call), "num_scan_inputs", 0)
        if standard_op(node) != "Scan" or scanned is None or len(body.inputs) != len(node.inputs):
            return None
        state = len(node.inputs) - scanned
        if place < state:
            return self._trace(operand(node, place), call, depth + 1) if _stays(body, place, value) else None
        return self._scanned(node, place, place - state, call, depth)

    def _scanned(self, node: ir.Node, place: int, index: int, call: Call | None, depth: int) -> _Traced | None:
        traced, axes = self._trace(operand(node, place), call, depth + 1), ints_of(node, "scan_input_axes")
        if traced is None or axes is None:
            return None
        axis, rank = [*axes, *[0] * len(node.inputs)][index], len(traced.shape or ())
        if traced.shape is None or not -rank <= axis < rank:
            return traced.moved(None)
        left = [i for i in range(rank) if i != axis % rank]
        return traced.moved(Step([traced.shape[i] for i in left], left, (axis % rank,)))

    def _given(self, value: ir.Value | None, call: Call | None) -> ir.Value | None:
        """The value that a caller hands to the function, for an input of it; otherwise the value itself."""
        while value is not None and call is not None and value.producer() is None:
            node, place = self._inside.get(id(value), (None, -1))
            if node is not None or place < 0:
                break
            value, call = operand(call.node, place), call.outer
        return value

    def _rank(self, value: ir.Value | None, call: Call | None) -> int | None:
        """Of an index; None: not known."""
        value = self._given(value, call)
        tensor = constant_of(value)
        if tensor is not None:
            return len(tensor.shape.numpy())
        if value is None or value.shape is not None:
            return len(value.shape) if value is not None and value.shape is not None else None
        node, place = self._inside.get(id(value), (None, -1))
        return 0 if node is not None and standard_op(node) == "Loop" and place == 0 else None


def _bodies(node: ir.Node) -> list[ir.Graph]:
    """The graphs inside a node."""
    graphs: list[ir.Graph] = []
    for attr in node.attributes.values():
        if not attr.is_ref() and attr.type == ir.AttributeType.GRAPH:
            graphs.append(attr.as_graph())
    return graphs


def _stays(body: ir.Graph, place: int, value: ir.Value) -> bool:
    """True if what the body hands to the next round at this place is what it was given."""
    end = body.outputs[place] if place < len(body.outputs) else None
    while end is not None and (producer := end.producer()) is not None and standard_op(producer) == "Identity":
        end = operand(producer, 0)
    return end is value


def _either(parts: Iterable[_Traced | None]) -> _Traced | None:
    """One of several, nobody knows which; those that are no constants do not matter."""
    traced = [part for part in parts if part is not None]
    if not traced:
        return None
    origins = list(dict.fromkeys(origin for part in traced for origin in part.origins))
    same = all(part.shape == traced[0].shape for part in traced)
    if len(origins) > _MOST_ORIGINS:
        return None
    return _Traced(traced[0].shape, origins) if same else _Traced(None, origins)


def _handed(origin: Origin, call: Call, place: int) -> Origin:
    """One that a function is given, as seen inside it. Of calls within calls, the outermost counts."""
    return replace(origin, handed=place) if origin.call is call.outer else origin
