"""Finds the small constants that a runtime may compute at load: biases, parameters of normalisation, factors.

operator                                   operands
Conv, Gemm, LSTM ...                       biases (and peepholes)
BatchNormalization, LayerNormalization ... scale, shift, mean, variance
Add, Mul, PRelu, Where ...                 any, where it meets what layers have computed

What a caller gives, and what counts positions, has a magnitude that nobody knows here: a constant that meets it by
arithmetic alone, such as the mean of a feature or a frequency, may need all of its digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from nncompress.model.computed import may_be_computed
from nncompress.model.constants import constant_tensor
from nncompress.model.model import Model
from nncompress.model.moves import moves
from nncompress.model.node_attributes import operand, standard_op
from nncompress.model.roles import operand_roles
from nncompress.model.weights import Weight, all_constants, meets_computed

_READ = {
    "BatchNormalization": (1, 2, 3, 4), "Conv": (2,), "ConvTranspose": (2,), "DeformConv": (3,), "Gemm": (2,),
    "GroupNormalization": (1, 2), "InstanceNormalization": (1, 2), "LayerNormalization": (1, 2),
    "RMSNormalization": (1,), "LSTM": (3, 7), "GRU": (3,), "RNN": (3,),
}  # fmt: skip
_BIASED = {"Add", "Conv", "ConvTranspose", "Gemm"}  # what passes move is read by these
_COUNTS = {
    "ArgMax", "ArgMin", "Bernoulli", "CumSum", "ConstantOfShape", "EyeLike", "NonZero", "OneHot", "RandomNormal",
    "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Range", "Shape", "Size",
}  # fmt: skip
_FUNCTIONS = {
    "Abs", "Ceil", "Clip", "Exp", "Floor", "Log", "Mod", "Neg", "Pad", "Reciprocal", "Relu", "Round",
    "Sigmoid", "Sqrt", "Tanh",
}  # fmt: skip
_MOST_MOVES = 100  # nodes between a constant and what reads it


@dataclass(frozen=True)
class Reader:
    """The node that computes with the constant, and as which operand."""

    node: ir.Node
    index: int
    is_direct: bool  # nothing stands between them

    @property
    def op(self) -> str:
        return standard_op(self.node) or ""


@dataclass(frozen=True)
class SmallConstant:
    """A constant that is no weight, as a weight without uses; and all that compute with it."""

    constant: Weight
    readers: tuple[Reader, ...]

    @property
    def may_be_bias(self) -> bool:
        """True for one that a pass may move which corrects biases."""
        return any(reader.op in _BIASED for reader in self.readers)


def find_small_constants(model: Model) -> list[SmallConstant]:
    """Those of which every reader is in the table above, behind nodes that only rearrange constants or not."""
    raw = _raw_values(model)
    found = []
    for constant in all_constants(model):
        if constant.uses or constant.size < 2 or not may_be_computed(constant.value):
            continue
        readers = _readers(constant.value)
        if readers and all(_is_known(reader, raw) for reader in readers):
            found.append(SmallConstant(constant, tuple(readers)))
    return found


def _readers(constant: ir.Value) -> list[Reader] | None:
    """All of them; None where it leaves the graph, or nobody knows."""
    readers, pending, steps = [], [constant], 0
    while pending:
        value, steps = pending.pop(), steps + 1
        if value.is_graph_output() or steps > _MOST_MOVES:
            return None
        for use in value.uses():
            op = standard_op(use.node)
            if op == "Concat" or (moves(use.node) and use.idx == 0 and op != "Cast"):
                pending += use.node.outputs
            else:
                readers.append(Reader(use.node, use.idx, value is constant))
    return readers


def _is_known(reader: Reader, raw: set[int]) -> bool:
    node, index = reader.node, reader.index
    if reader.op in _READ:
        return index in _READ[reader.op] and (reader.is_direct or reader.op != "BatchNormalization")
    taken = _elementwise(node)
    return index in taken and meets_computed(node, index) and not _meets(node, taken, raw)


def _raw_values(model: Model) -> set[int]:
    """Ids of the values that are given, or that count, and of what arithmetic alone makes of them."""
    raw: set[int] = set()
    for scope in model.scopes():
        raw.update(id(value) for value in scope.inputs if constant_tensor(value) is None)
        for node in scope:
            if standard_op(node) in _COUNTS or _meets(node, _passed_on(node), raw):
                raw.update(map(id, node.outputs))
    return raw


def _passed_on(node: ir.Node) -> Sequence[int]:
    """The operands of which arithmetic, or a move, makes its result; () for the operators that layers consist of."""
    if standard_op(node) == "Concat":
        return range(len(node.inputs))
    return _elementwise(node) or ((0,) if moves(node) or standard_op(node) in _FUNCTIONS else ())


def _elementwise(node: ir.Node) -> Sequence[int]:
    return [role.index for role in operand_roles(node) if role.kind == "elementwise"]


def _meets(node: ir.Node, operands: Sequence[int], raw: set[int]) -> bool:
    return any(id(operand(node, index)) in raw for index in operands)
