"""Finds the weights of a model wherever they live, and who reads them along which axes.

A weight is a constant float tensor that nodes read as a weight operand (see roles.py): an initializer of any graph,
a Constant node, captured from an outer graph, given to a model-local function or inside one, carried through a loop or
picked out of a stack, directly or behind nodes that only rearrange constants (see origins.py). All readers of one
tensor are its uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from nncompress.model.calls import Call, NodeLike, bound
from nncompress.model.constants import FLOATS, constant_tensor, find_constants
from nncompress.model.decoded import is_codebook
from nncompress.model.model import OLDEST_OPSET, Model, Scope, graphs_below, op_name, standard_opset
from nncompress.model.moves import Shape
from nncompress.model.node_attributes import operand, standard_op
from nncompress.model.origins import Origin, Origins
from nncompress.model.roles import Kind, Role, operand_roles

GIVEN_NAME = "nncompress.given-name"
INTEGER_CONSTANTS_FROM_OPSET = 9  # before, Constant nodes held nothing but floats
LEAST_ELEMENTWISE = 4096  # elements of a constant that elementwise operators read: no bias is meant
_MOST_NODES_OF_CONSTANT = 100
_MOST_COLUMNS = 64  # the last axis of such a constant has a scale for each index up to here


@dataclass(frozen=True)
class Use:
    """One node that reads the weight. Axes are those of the stored tensor."""

    node: ir.Node
    index: int  # of the operand
    op: str  # for a call of a function: the operator inside
    kind: Kind
    channel_axes: tuple[int, ...]
    contraction_axes: tuple[int, ...]
    direct: bool  # nothing stands between the constant and the node, and the node is the operator itself
    rank: int | None = None  # of the operand as the node reads it; None: not known
    shared: tuple[int, int] | None = None  # (axis, run): along this axis, each run of so many indices is one channel


@dataclass(frozen=True)
class Weight:
    """A constant float tensor with its uses."""

    value: ir.Value
    scope: Scope  # the graph or function in which it is defined
    uses: tuple[Use, ...]
    unstorable: str | None = None  # why no form can hold it where it is, or may
    is_input: bool = False  # a caller may give it other values

    @property
    def name(self) -> str:
        return self.value.name or ""

    @property
    def given_name(self) -> str:
        """Its name in the file, should it have been renamed since."""
        return str(self.value.meta.get(GIVEN_NAME, self.name))

    @property
    def tensor(self) -> ir.TensorProtocol:
        tensor = constant_tensor(self.value)
        assert tensor is not None, "a weight is a constant"
        return tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(d) for d in self.tensor.shape.numpy())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> ir.DataType:
        return self.tensor.dtype

    @property
    def ops(self) -> tuple[str, ...]:
        return tuple(sorted({use.op for use in self.uses}))

    @property
    def is_elementwise(self) -> bool:
        """True if elementwise operators alone read it: it is no weight that is summed over or looked up."""
        return all(use.kind == "elementwise" for use in self.uses)

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """The axes along which channels are numbered: those of `main_use`."""
        return self.main_use.channel_axes

    @property
    def main_use(self) -> Use:
        """Whose channels get scales of their own: the first use that contracts, if any."""
        return next((use for use in self.uses if use.contraction_axes), self.uses[0])

    @property
    def lookups(self) -> tuple[Use, ...]:
        """The nodes that look up its rows, if nothing else reads it and they pick along one and the same axis."""
        tables = tuple(use for use in self.uses if use.kind == "table" and use.direct and use.op == "Gather")
        same = len({use.channel_axes for use in self.uses}) == 1
        return tables if same and len(self.value.uses()) == len(tables) else ()

    @property
    def barrier(self) -> str | None:
        """Why its values may not be changed; None if they may."""
        if self.is_input:
            return "it is also an input of the graph (--freeze-inputs makes it a constant)"
        if self.value.is_graph_output():
            return "it is an output of the graph"
        return self.unstorable

    def array(self) -> np.ndarray:
        """Its values as float32, or float64 where it is stored so; a copy of its own."""
        array = self.tensor.numpy()
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def find_weights(model: Model) -> list[Weight]:
    """All weights, in the order in which their first readers stand in the model."""
    uses_of: dict[int, tuple[ir.Value, dict[Use, None]]] = {}
    unstorable, tables = _unstorable(model), _tables(model)
    origins = Origins(model)
    for node, call in origins.calls.nodes():
        for role in operand_roles(bound(node, call)):
            read = operand(node, role.index)
            for origin in origins.of(read, call):
                use = _use(node, call, role, origin, read is origin.value)
                if use is not None:
                    use = replace(use, shared=_shared(role, origin, origins.shape_of(read, call)))
                    uses_of.setdefault(id(origin.value), (origin.value, {}))[1][use] = None
    return [
        Weight(value, home, tuple(uses), tables.get(id(value), unstorable.get(id(home))), value.is_graph_input())
        for value, uses in uses_of.values()
        if (home := _home(model, value)) is not None
    ]


def all_constants(model: Model) -> list[Weight]:
    """All weights, and then the other constants as weights without uses."""
    weights, unstorable = find_weights(model), _unstorable(model)
    found = {id(weight.value) for weight in weights}
    others = [(value, scope) for value, _, scope in find_constants(model) if id(value) not in found]
    return weights + [
        Weight(value, scope, (), unstorable.get(id(scope)), value.is_graph_input()) for value, scope in others
    ]


def _home(model: Model, constant: ir.Value) -> Scope | None:
    """Where an initializer or the output of a Constant node lies; None for anything else."""
    if constant.producer() is None and not constant.is_initializer():
        return None
    graph = constant.graph
    return next((function for function in model.ir.functions.values() if function.graph is graph), graph)


def _tables(model: Model) -> dict[int, str]:
    """{id of the values of a codebook: why they stay}."""
    found = [operand(node, 0) for scope in model.scopes() for node in scope if is_codebook(node)]
    return dict.fromkeys(
        map(id, found), "it holds the values of a weight that is stored in few bits already (codebook)"
    )


def _unstorable(model: Model) -> dict[int, str]:
    """{id of a scope: why no form can be written into it}."""
    reasons: dict[int, str] = {}
    roots: list[Scope] = [model.ir.graph, *model.ir.functions.values()]
    for root in roots:
        opset = standard_opset(root, model.opset) if isinstance(root, ir.Function) else model.opset
        reason = None
        if model.opset < OLDEST_OPSET:
            reason = f"opset {model.opset} is older than {OLDEST_OPSET}: nothing can be stored smaller"
        elif opset != model.opset:
            reason = (
                f"it lies in a function of opset {opset}, and the model has {model.opset}: export both with one opset"
            )
        elif isinstance(root, ir.Function) and opset < INTEGER_CONSTANTS_FROM_OPSET:
            reason = f"it is in a Constant node, which cannot hold integers before opset {INTEGER_CONSTANTS_FROM_OPSET}"
        if reason is not None:
            reasons.update({id(scope): reason for scope in (root, *graphs_below(root))})
    return reasons


def _reader(node: ir.Node, call: Call | None, role: Role, origin: Origin) -> tuple[ir.Node, int]:
    """The node that reads the constant where that lies, and as which operand: the operator, or the call around it."""
    while call is not None and origin.handed is not None:
        if call.outer is origin.call:
            return call.node, origin.handed
        call = call.outer
    return node, role.index


def _use(node: ir.Node, call: Call | None, role: Role, origin: Origin, is_operand: bool) -> Use | None:
    """The use of a stored tensor whose axes are those of the operand by way of `origin`."""
    if op_name(node) == "Gather" and len(node.inputs) != 2:
        return None  # the runtime will refuse this node
    if role.kind == "elementwise":
        return _elementwise_use(node, call, role, origin)
    reader, index = _reader(node, call, role, origin)
    op, axes, direct = op_name(node), origin.axes, is_operand and reader is node
    if axes is None:
        return Use(reader, index, op, role.kind, (), (), False)
    rank = len(axes)

    def stored(picked: list[int]) -> tuple[int, ...]:
        return tuple(sorted({axis for i in picked if (axis := axes[i]) is not None}))

    def absolute(relative: tuple[int, ...]) -> list[int] | None:
        picked = [axis + rank if axis < 0 else axis for axis in relative]
        return picked if all(0 <= axis < rank for axis in picked) else None

    contraction = None if role.contraction == "rest" else role.contraction
    channel = None if role.channel == "rest" else role.channel
    if contraction is not None and rank == 1 and contraction in ((-1,), (-2,)):
        contraction = (0,)  # MatMul with a vector
    summed = absolute(contraction) if contraction is not None else None
    kept = absolute(channel) if channel is not None else None
    if (contraction is not None and summed is None) or (channel is not None and kept is None):
        return None  # the rank does not fit: the runtime will refuse this node
    if kept is None:
        kept = [axis for axis in range(rank) if axis not in (summed or [])]
    if summed is None:
        summed = [axis for axis in range(rank) if axis not in kept]
    channels = tuple(sorted({*stored(kept), *origin.picked}))
    return Use(reader, index, op, role.kind, channels, stored(summed), direct, rank)


def _shared(role: Role, origin: Origin, shape: Shape | None) -> tuple[int, int] | None:
    """The stored axis and the length of a run. Where nobody knows it, each index is a channel: that is finer."""
    if role.groups == 1 or role.channel == "rest" or shape is None or origin.axes is None:
        return None
    axis, run = origin.axes[role.channel[0]], shape[role.channel[0]] // role.groups
    return (axis, run) if axis is not None and run > 1 else None


def _elementwise_use(node: ir.Node, call: Call | None, role: Role, origin: Origin) -> Use | None:
    """Of a large constant that meets something computed, but no codes that it decodes."""
    tensor = constant_tensor(origin.value)
    if tensor is None or tensor.size < LEAST_ELEMENTWISE:
        return None
    if not meets_computed(node, role.index):
        return None
    shape = tuple(int(d) for d in tensor.shape.numpy())
    columns = (len(shape) - 1,) if 1 < shape[-1] <= _MOST_COLUMNS and len(shape) > 1 else ()
    reader, index = _reader(node, call, role, origin)
    direct = reader is node and node.inputs[index] is origin.value
    return Use(reader, index, op_name(node), role.kind, columns, (), direct)


def meets_computed(node: NodeLike, index: int) -> bool:
    """True for an operand of an elementwise operator that meets something computed, but no codes that it decodes."""
    others = [value for i, value in enumerate(node.inputs) if i != index and value is not None]
    return not all(map(_is_constant, others)) and not any(map(_decodes, others))


def _is_constant(value: ir.Value) -> bool:
    """True if it is computed of constants alone, as far as a few nodes show."""
    pending, steps = [value], 0
    while pending and steps < _MOST_NODES_OF_CONSTANT:
        value, steps = pending.pop(), steps + 1
        producer = value.producer()
        if producer is None and value.const_value is None:
            return False
        pending += [read for read in producer.inputs if read is not None] if producer is not None else []
    return not pending


def _decodes(value: ir.Value) -> bool:
    """True for integers as floats, and what Sub and Mul make of them."""
    node = value.producer()
    while node is not None and standard_op(node) in ("Sub", "Mul"):
        first = operand(node, 0)
        node = first.producer() if first is not None else None
    read = operand(node, 0) if node is not None and standard_op(node) == "Cast" else None
    return read is not None and read.dtype not in FLOATS
