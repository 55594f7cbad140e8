"""QuantizeLinear of a constant becomes the integer codes that it computes, as training with rounding exports it.

    float weight -> QuantizeLinear -> DequantizeLinear        codes -> DequantizeLinear

The codes are those of onnxruntime, so nothing that is computed changes; the file holds a quarter. A weight that others
read as well stays as it is: the codes would come on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_of, constant_tensor
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.lineage import inherit_origin, known_as, note_form
from nncompress.model.model import Model
from nncompress.model.moves import Move, step_of
from nncompress.model.node_attributes import int_of, operand, standard_op
from nncompress.model.tensors import lazy
from nncompress.model.weights import GIVEN_NAME
from nncompress.numerics.quantize_linear import CODE_TYPES, FLOAT8_TYPES, quantize_linear
from nncompress.results.record import Rewritten

_MOVES = ("Identity", "Transpose", "Reshape")
_MOST_MOVES = 8
_DEFAULT_TYPE = int(ir.DataType.UINT8)


@dataclass(frozen=True)
class _Quantize:
    """A QuantizeLinear whose operands are all constant."""

    node: ir.Node
    source: ir.Value  # the constant that it reads, maybe moved on the way
    codes: Callable[[], np.ndarray | None]
    dtype: ir.DataType
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Of the codes."""
        return -(-int(np.prod(self.shape, dtype=np.int64)) * self.dtype.bitwidth // 8)


def store_codes(model: Model) -> list[Rewritten]:
    """Puts codes in the place of every such QuantizeLinear, in place; what was done, by weight."""
    found = [quantize for scope in model.scopes() for node in scope if (quantize := _read(node)) is not None]
    by_source: dict[int, list[_Quantize]] = {}
    for quantize in found:
        by_source.setdefault(id(quantize.source), []).append(quantize)
    able = {id(quantize.node) for quantize in found}
    done: list[Rewritten] = []
    names: Names | None = None
    for of_source in by_source.values():
        source = of_source[0].source
        tensor = constant_tensor(source)
        size = sum(quantize.size_bytes for quantize in of_source)
        if tensor is None or size >= tensor.nbytes or not _only_quantized(source, able):
            continue
        if any(quantize.codes() is None for quantize in of_source):
            continue
        names = names or Names(model)
        for quantize in of_source:
            _put_codes(model, quantize, names)
        detail = f"{of_source[0].dtype.name.lower()} codes of its QuantizeLinear, which decode to the same values"
        done.append(Rewritten(known_as(source), "normalise", detail))
    return done


# ------------------------------------------------------------------------------------------------ finding
def _read(node: ir.Node) -> _Quantize | None:
    """None for what is no QuantizeLinear of constants, or one whose rounding is not known."""
    if node.op_type != "QuantizeLinear" or node.domain not in ("", "com.microsoft"):
        return None
    source, scale = _moved(operand(node, 0)), _moved(operand(node, 1))
    attributes = [int_of(node, *pair) for pair in (("axis", 1), ("block_size", 0), ("saturate", 1), ("precision", 0))]
    if source is None or scale is None or None in attributes or node.outputs[0].is_graph_output():
        return None
    axis, block_size, saturate, precision = (attribute or 0 for attribute in attributes)
    zeros = _zero_points(node, scale.array().shape)
    if zeros is None or precision not in (0, int(ir.DataType.FLOAT)):
        return None
    if zeros.dtype.name not in CODE_TYPES or (zeros.dtype.name in FLOAT8_TYPES and not saturate):
        return None
    steps = scale.array()
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        return None
    return _Quantize(
        node, source.value, lambda: quantize_linear(source.array(), steps, zeros, axis=axis, block_size=block_size),
        ir.DataType.from_numpy(zeros.dtype), source.shape,
    )  # fmt: skip


def _zero_points(node: ir.Node, shape: tuple[int, ...]) -> np.ndarray | None:
    """Where there are none, zeros of the type that the codes shall have; None where they are not constant."""
    if operand(node, 2) is None:
        dtype = int_of(node, "output_dtype", 0)
        return None if dtype is None else np.zeros(shape, ir.DataType(dtype or _DEFAULT_TYPE).numpy())
    zeros = _moved(operand(node, 2), of_floats=False)
    return zeros.array() if zeros is not None else None


@dataclass(frozen=True)
class _Moved:
    """A constant as a node behind it sees it: its elements are the same, maybe in other places."""

    value: ir.Value
    shape: tuple[int, ...]
    array: Callable[[], np.ndarray]


def _moved(value: ir.Value | None, depth: int = 0, *, of_floats: bool = True) -> _Moved | None:
    """None for what is not constant."""
    tensor = constant_of(value)
    if value is None or value.is_graph_input() or depth > _MOST_MOVES:
        return None
    if tensor is not None:
        if of_floats and tensor.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
            return None
        return _Moved(value, tuple(int(d) for d in tensor.shape.numpy()), tensor.numpy)
    node = value.producer()
    if node is None or standard_op(node) not in _MOVES:
        return None
    inner = _moved(operand(node, 0), depth + 1, of_floats=of_floats)
    if inner is None:
        return None
    move = _move(node, inner.shape)
    if move is None:
        return None
    return _Moved(inner.value, move(np.broadcast_to(0, inner.shape)).shape, lambda: move(inner.array()))


def _move(node: ir.Node, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray] | None:
    """What the node does to an array of this shape; None where it is not known."""
    step = step_of(Move(node, 0, constant_of, lambda _: None), list(shape))
    if step is None:
        return None
    if node.op_type == "Transpose":
        order = [axis for axis in step.axes if axis is not None]
        return lambda array: array.transpose(order)
    return lambda array: array.reshape(step.shape)


def _only_quantized(value: ir.Value, able: set[int]) -> bool:
    """True if nobody reads the value, directly or moved, but QuantizeLinear nodes of which codes are known."""
    if value.is_graph_output():
        return False
    return all(
        (id(use.node) in able and use.idx == 0)
        or (standard_op(use.node) in _MOVES and use.idx == 0 and _only_quantized(use.node.outputs[0], able))
        for use in value.uses()
    )


# ------------------------------------------------------------------------------------------------ rewriting
def _put_codes(model: Model, quantize: _Quantize, names: Names) -> None:
    """The codes stand where the node was; what only it has read goes with it."""
    node, draft = quantize.node, Draft(names)
    scope, result, source = home_of(node), node.outputs[0], quantize.source

    def compute() -> np.ndarray:
        codes = quantize.codes()
        assert codes is not None, "it was computed before"
        return codes

    codes = draft.constant(lazy(compute, quantize.dtype, quantize.shape, ""), "q")
    codes.meta[GIVEN_NAME] = source.meta.get(GIVEN_NAME, source.name)
    inherit_origin(codes, source)
    note_form(codes, "dequantize")
    for use in list(result.uses()):
        if use.node.op_type == "DequantizeLinear" and use.idx == 0:
            _write_zero_point(model, use.node, quantize.dtype, names)
    result.replace_all_uses_with(codes)
    insert_before(model, scope, draft, node)
    _remove(node)


def _write_zero_point(model: Model, node: ir.Node, dtype: ir.DataType, names: Names) -> None:
    """Older onnxruntimes compute some graphs wrongly without one."""
    scale = constant_of(operand(node, 1))
    if operand(node, 2) is not None or scale is None:
        return
    draft = Draft(names)
    zeros = draft.constant(ir.Tensor(np.zeros(scale.shape.numpy(), dtype.numpy()), dtype=dtype), "z")
    node.resize_inputs(3)
    node.replace_input_with(2, zeros)
    insert_before(model, home_of(node), draft, node)


def _remove(node: ir.Node) -> None:
    """The node and what nobody reads without it."""
    inputs = {value for value in node.inputs if value is not None}
    home_of(node).remove(node, safe=True)
    for value in inputs:
        producer = value.producer()
        if value.uses() or value.is_graph_output():
            continue
        if producer is not None and standard_op(producer) in _MOVES:
            _remove(producer)
        elif constant_tensor(value) is not None:
            drop_if_unread(value)
