"""Which operand of which operator is a weight, and what its axes mean there.

`operand_roles` is the one table of this knowledge. Axes are those of the operand as the node reads it:

    op             operand  shape            channel axes      contraction axes
    Conv           1        [M, C/g, k...]   0                 1, 2, ...
    ConvTranspose  1        [C, M/g, k...]   1 (with groups: 0, 1)   0, 2, ... (2, ...)
    MatMul         1        [..., K, N]      all but K         K
    MatMul         0        [..., M, K]      all but K         K
    Gemm           1        [K, N]           1 (0 with transB) the other one
    Gemm           0        [M, K]           0 (1 with transA) the other one
    Gather...      0        table            those looked up   none
    Slice          0        table            those cut, where nobody knows before where
    LSTM GRU RNN   1, 2     [D, gates*H, I]  0, 1              2
    MoE            2, 4, 6  [experts, N, K]  0, 1              2
    Einsum         any      letters          all but those     those summed with others
    Add, Mul ...   any      broadcast        see weights.py    none: values are used as they are

Output channel (group, m) of a ConvTranspose reads C/g indices in a row along axis 0: see Role.groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from nncompress.model.calls import NodeLike
from nncompress.model.constants import constant_of, integers_in
from nncompress.model.moves import picked_depth
from nncompress.model.node_attributes import int_of, operand, text_of

Kind = Literal["linear", "table", "recurrent", "elementwise"]
_ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum", "PRelu")


@dataclass(frozen=True)
class Role:
    """One operand that is read as a weight. Negative axes count from the end, as the rank is not known here."""

    index: int
    kind: Kind
    channel: tuple[int, ...] | Literal["rest"]  # "rest": every axis that is not contracted
    contraction: tuple[int, ...] | Literal["rest"]  # "rest": every axis that is no channel
    groups: int = 1  # above 1: along the first channel axis, so many equal runs of indices are a channel each


Roles = tuple[Role, ...]


def operand_roles(node: NodeLike) -> Roles:
    """The weight operands of `node`; () for operators without any."""
    roles = _ROLES.get((node.domain, node.op_type), ())
    return roles(node) if callable(roles) else roles


def _transposable_roles(node: NodeLike) -> Roles:
    turned_left, turned_right = int_of(node, "transA", 0), int_of(node, "transB", 0)
    if turned_left is None or turned_right is None:
        return ()
    if node.op_type == "FusedMatMul":
        left, right = -2 if turned_left else -1, -1 if turned_right else -2
        return (Role(1, "linear", "rest", (right,)), Role(0, "linear", "rest", (left,)))
    left, right = 1 if turned_left else 0, 0 if turned_right else 1
    return (Role(1, "linear", (right,), "rest"), Role(0, "linear", (left,), "rest"))


def _transposed_roles(node: NodeLike) -> Roles:
    groups = int_of(node, "group", 1) or 1
    return (Role(1, "linear", (0, 1), "rest", groups) if groups > 1 else Role(1, "linear", (1,), "rest"),)


def _axis_roles(node: NodeLike) -> Roles:
    axis = int_of(node, "axis", 0)
    return () if axis is None else (Role(0, "table", (axis,), ()),)


def _picked_roles(node: NodeLike) -> Roles:
    depth = picked_depth(node)
    return (Role(0, "table", tuple(range(depth)), ()),) if depth else ()


def _elementwise_roles(node: NodeLike) -> Roles:
    return tuple(Role(index, "elementwise", (), "rest") for index in range(len(node.inputs)))


def _cut_roles(node: NodeLike) -> Roles:
    """A table of which a part is read, such as positions up to the length of a text."""
    starts, ends, axes = (integers_in(constant_of(operand(node, index))) for index in (1, 2, 3))
    if len(node.inputs) < 3 or (starts is not None and ends is not None):
        return ()
    return (Role(0, "table", tuple(axes if axes is not None else [0]), ()),)


def _einsum_roles(node: NodeLike) -> Roles:
    """Contractions without a letter that an operand has twice."""
    equation = (text_of(node, "equation") or "").replace(" ", "").replace("...", ".")
    left, arrow, output = equation.partition("->")
    operands = left.split(",")
    if any(len(set(letters)) < len(letters) for letters in (*operands, output)):
        return ()
    if not arrow:  # the letters that only one operand has
        output = "".join(letter for letter in left if left.count(letter) == 1)
    roles = []
    for index in reversed(range(len(operands))):
        own, others = operands[index], {letter for i, o in enumerate(operands) if i != index for letter in o}
        summed = [axis for axis, letter in enumerate(own) if letter in others and letter not in output + "."]
        if summed:
            dots = own.find(".")  # axes behind them are counted from the end
            behind = [axis - len(own) if 0 <= dots < axis else axis for axis in summed]
            roles.append(Role(index, "linear", "rest", tuple(behind)))
    return tuple(roles)


_CONV = (Role(1, "linear", (0,), "rest"),)
_RECURRENT = (Role(1, "recurrent", (0, 1), (2,)), Role(2, "recurrent", (0, 1), (2,)))
_ROLES: Mapping[tuple[str, str], Roles | Callable[[NodeLike], Roles]] = {
    ("", "Conv"): _CONV,
    ("", "DeformConv"): _CONV,
    ("com.microsoft", "FusedConv"): _CONV,
    ("com.microsoft", "NhwcConv"): _CONV,
    ("com.microsoft", "NhwcFusedConv"): _CONV,
    ("com.microsoft.nchwc", "Conv"): _CONV,
    ("", "ConvTranspose"): _transposed_roles,
    ("", "MatMul"): (Role(1, "linear", "rest", (-2,)), Role(0, "linear", "rest", (-1,))),
    ("", "Gemm"): _transposable_roles,
    ("com.microsoft", "FusedMatMul"): _transposable_roles,
    ("com.microsoft", "FusedGemm"): _transposable_roles,
    ("com.microsoft", "Attention"): (Role(1, "linear", (1,), "rest"),),
    ("com.microsoft", "MoE"): tuple(Role(index, "linear", (0, 1), (2,)) for index in (2, 4, 6)),
    ("com.microsoft", "EmbedLayerNormalization"): tuple(Role(index, "table", (0,), ()) for index in (2, 3, 4)),
    ("", "Gather"): _axis_roles,
    ("", "GatherElements"): _axis_roles,
    ("", "GatherND"): _picked_roles,
    ("", "Slice"): _cut_roles,
    ("", "LSTM"): _RECURRENT,
    ("", "GRU"): _RECURRENT,
    ("", "RNN"): _RECURRENT,
    ("", "Einsum"): _einsum_roles,
    ("", "Where"): tuple(Role(index, "elementwise", (), "rest") for index in (1, 2)),
    **{("", op): _elementwise_roles for op in _ELEMENTWISE},
}
