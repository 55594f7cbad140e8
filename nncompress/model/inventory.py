"""Counts what is in a model: parameters, bytes by type and operator, non-zeros, multiply-accumulates, and what is
already quantized.

Nodes all of whose inputs are constant are computed by the runtime at load, so a stored weight may be several
constants and nodes. What counts as parameters and loaded bytes is what remains then: the constant values that the
other nodes read. Shapes come from ONNX shape inference; where it fails, figures that need them are None.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import FLOATS, constant_tensor, stored_bytes
from nncompress.model.decoded import is_codebook
from nncompress.model.macs import count_macs
from nncompress.model.model import Model, Scope, op_name
from nncompress.model.node_attributes import int_of, operand, standard_op
from nncompress.model.shapes import Shapes, infer_shapes

_NOT_PARAMETERS = {ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL, ir.DataType.STRING}
_KNOWN_TYPES = {int(dtype) for dtype in ir.DataType} - {int(ir.DataType.UNDEFINED)}
_QUANTIZED_OPS = {
    "DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv",
    "QLinearMatMul", "MatMulNBits", "GatherBlockQuantized", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat", "QAttention", "QGemm", "QLinearAdd",
}  # fmt: skip
_LARGEST_COUNTED = 1 << 28  # elements: non-zeros of larger constants are not worth reading them
_TYPED_BY = {"DequantizeLinear": 1, "Where": 1, "OneHot": 2}  # the input that has the type of the result, if not 0
_ZERO_POINTS = {"Sub": 1, "DequantizeLinear": 2}  # the input that is the zero point of codes
_UNUSED = "(unused)"
_MOVES = {"Gather", "Identity", "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class Inventory:
    """Figures of one model; see the module."""

    parameters: int
    nonzeros: int
    weight_bytes_loaded: int
    constant_bytes: int  # of all constants as stored
    macs: int | None
    nodes: int
    ops: tuple[tuple[str, int], ...]  # (operator, how many), most frequent first
    bytes_by_dtype: tuple[tuple[str, int], ...]
    bytes_by_op: tuple[tuple[str, int], ...]  # constants by the first operator that reads them
    quantized: tuple[tuple[str, int], ...]  # (how, how many): operators on integers, integer constants cast to float


def take_inventory(model: Model, *, count_nonzeros: bool = True) -> Inventory:
    """Reads every constant once (for non-zeros), one at a time."""
    shapes = infer_shapes(model)
    ops: Counter[str] = Counter()
    by_dtype: Counter[str] = Counter(model.unread)
    parameters = nonzeros = loaded = 0
    stored = by_dtype.total()
    by_op: Counter[str] = Counter({_UNUSED: stored} if stored else {})
    for scope in model.scopes():
        ops.update(op_name(node) for node in scope if standard_op(node) != "Constant")
        for value, tensor in _constants(scope):
            size = stored_bytes(value, tensor)
            stored += size
            by_dtype[tensor.dtype.name.lower()] += size
            readers = sorted(op_name(use.node) for use in value.uses())
            by_op[readers[0] if readers else _UNUSED] += size
        decoding = _decoding_constants(scope)
        for value, dtype, elements, known in _loaded_values(scope, shapes):
            loaded += 0 if dtype == ir.DataType.STRING else math.ceil(elements * dtype.itemsize)
            if dtype not in _NOT_PARAMETERS and id(value) not in decoding:
                parameters += elements
                nonzeros += _nonzeros(value, known, elements) if count_nonzeros else elements
    return Inventory(
        parameters, nonzeros, loaded, stored, count_macs(model, shapes), sum(ops.values()),
        tuple(ops.most_common()), tuple(by_dtype.most_common()), tuple(by_op.most_common()), quantized_parts(model),
    )  # fmt: skip


def quantized_parts(model: Model) -> tuple[tuple[str, int], ...]:
    """What of the model is quantized already, and how many times."""
    counts: Counter[str] = Counter()
    for scope in model.scopes():
        for node in scope:
            if op_name(node) in _QUANTIZED_OPS:
                counts[op_name(node)] += 1
            elif _casts_codes(node) and not _is_parameter(node.outputs[0]):
                counts["integer weights behind Cast"] += 1
            elif is_codebook(node):
                counts["weights as codebooks"] += 1
    return tuple(counts.most_common())


def _casts_codes(node: ir.Node) -> bool:
    return standard_op(node) == "Cast" and int_of(node, "to", 0) in FLOATS and _holds_codes(operand(node, 0))


def _is_parameter(value: ir.Value, depth: int = 3) -> bool:
    """True for what becomes a scale or zero point of codes: it is stored as integers itself."""
    for node, index in value.uses():
        if standard_op(node) in ("Sub", "Mul") and index == 1:
            codes = operand(node, 0)
            return _is_cast_of_codes(codes) or _is_scaled(codes)
        if standard_op(node) in ("Mul", "Gather") and index == 0 and depth:
            return _is_parameter(node.outputs[0], depth - 1)
    return False


def _holds_codes(value: ir.Value | None) -> bool:
    """True for integers of up to 8 bits that are constant, or looked up in or cut out of a constant."""
    while value is not None:
        tensor = constant_tensor(value)
        if tensor is not None:
            return tensor.dtype.name.startswith(("INT", "UINT")) and tensor.dtype.bitwidth <= 8 and tensor.size > 1
        node = value.producer()
        value = operand(node, 0) if node is not None and standard_op(node) in _MOVES else None
    return False


# ------------------------------------------------------------------------------------------------ constants
def _constants(scope: Scope) -> list[tuple[ir.Value, ir.TensorProtocol]]:
    values = [
        *getattr(scope, "initializers", {}).values(),
        *(n.outputs[0] for n in scope if standard_op(n) == "Constant"),
    ]
    return [(value, tensor) for value in values if (tensor := constant_tensor(value)) is not None]


def _loaded_values(scope: Scope, shapes: Shapes) -> list[tuple[ir.Value, ir.DataType, int, ir.TensorProtocol | None]]:
    """(value, type, elements, tensor if it is stored as such) of the constants that remain after folding."""
    dtypes: dict[int, ir.DataType] = {}
    tensors = {id(value): tensor for value, tensor in _constants(scope)}
    values = {id(value): value for value, _ in _constants(scope)}
    dtypes.update({key: tensor.dtype for key, tensor in tensors.items()})
    folded: set[int] = set()
    for node in scope:
        inputs = [v for v in node.inputs if v is not None]
        if inputs and all(id(v) in dtypes for v in inputs) and len(node.outputs) == 1:
            folded.add(id(node))
            out = node.outputs[0]
            dtypes[id(out)] = _result_type(node, dtypes)
            values[id(out)] = out
    remaining = []
    for key, value in values.items():
        if not value.is_graph_output() and all(id(use.node) in folded for use in value.uses()):
            continue
        shape = tuple(tensors[key].shape.numpy()) if key in tensors else shapes.get(value.name or "", ())
        elements = math.prod(int(d or 0) for d in shape)
        remaining.append((value, dtypes[key], elements, tensors.get(key)))
    return remaining


def _result_type(node: ir.Node, dtypes: dict[int, ir.DataType]) -> ir.DataType:
    op = standard_op(node)
    if op == "Cast":
        to = int_of(node, "to", int(ir.DataType.FLOAT))
        return ir.DataType(to) if to in _KNOWN_TYPES else ir.DataType.FLOAT
    if op == "ConstantOfShape":
        fill = node.attributes.get("value")
        return ir.DataType.FLOAT if fill is None or fill.is_ref() else fill.as_tensor().dtype
    if op in ("Shape", "Size"):
        return ir.DataType.INT64
    if op in ("Equal", "Greater", "Less", "And", "Or", "Not"):
        return ir.DataType.BOOL
    inputs = [v for v in node.inputs if v is not None]
    typed = [v for v in node.inputs[_TYPED_BY.get(op or "", 0) :] if v is not None]
    return dtypes[id((typed or inputs)[0])]


def _decoding_constants(scope: Scope) -> set[int]:
    """Scales and zero points of codes that are decoded after they were looked up, and of activations: no parameters."""
    decoding = set()
    for node in scope:
        operands: list[ir.Value | None] = []
        op = standard_op(node)
        if op in ("DequantizeLinear", "QuantizeLinear"):
            operands = list(node.inputs[1:])
        elif op in ("Mul", "Sub") and any(map(_is_cast_of_codes, node.inputs)):
            operands = list(node.inputs)
        elif op == "Mul" and any(map(_is_scaled, node.inputs)):
            operands = [v for v in node.inputs if (tensor := constant_tensor(v)) is not None and tensor.size > 1]
        for value in operands:
            producer = value.producer() if value is not None else None
            looked_up = producer is not None and standard_op(producer) == "Gather"
            decoding.add(id(operand(producer, 0) if producer is not None and looked_up else value))
    return decoding


def _is_cast_of_codes(value: ir.Value | None) -> bool:
    node = value.producer() if value is not None else None
    if node is not None and standard_op(node) == "Sub":
        codes = operand(node, 0)
        node = codes.producer() if codes is not None else None
    return node is not None and standard_op(node) == "Cast" and _holds_codes(operand(node, 0))


def _is_scaled(value: ir.Value | None) -> bool:
    """True for codes times their scale; a second scale may follow, along the other axis."""
    node = value.producer() if value is not None else None
    return node is not None and standard_op(node) == "Mul" and any(map(_is_cast_of_codes, node.inputs))


def _nonzeros(value: ir.Value, tensor: ir.TensorProtocol | None, elements: int) -> int:
    """Non-zeros of a constant; of a decoded one those of the largest constant behind it."""
    if elements > _LARGEST_COUNTED:
        return elements
    if tensor is not None:
        return int(np.count_nonzero(tensor.numpy()))
    producer = value.producer()
    if producer is not None and standard_op(producer) == "ConstantOfShape":
        fill = producer.attributes.get("value")
        return elements if fill is not None and not fill.is_ref() and fill.as_tensor().numpy().any() else 0
    behind, zeros, stack, seen = [], [], [value], set()
    while stack:
        node = stack.pop().producer()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        zeros += [zero] if (zero := _zero_point(node)) is not None else []
        for read in node.inputs:
            tensor = constant_tensor(read)
            if tensor is not None:
                behind.append(tensor)
            elif read is not None:
                stack.append(read)
    largest = max(behind, key=lambda t: t.size, default=None)
    if largest is None:
        return elements
    codes = largest.numpy()
    if len(zeros) == 1 and _broadcasts(zeros[0].shape, codes.shape):
        return min(elements, int(np.count_nonzero(codes != zeros[0])))
    return min(elements, int(np.count_nonzero(codes)))


def _zero_point(node: ir.Node) -> np.ndarray | None:
    """The code that a decoding node maps to zero, in a shape that broadcasts to the codes."""
    op = standard_op(node) or ""
    value = operand(node, _ZERO_POINTS.get(op, -1))
    cast = value.producer() if value is not None else None
    tensor = constant_tensor(operand(cast, 0) if cast is not None and standard_op(cast) == "Cast" else value)
    if tensor is None:
        return None
    zero = tensor.numpy()
    codes = constant_tensor(operand(node, 0))
    if op == "Sub" or zero.ndim != 1 or codes is None:
        return zero
    shape = [1] * len(codes.shape.numpy())
    axis = int_of(node, "axis", 1)
    if axis is None or not -len(shape) <= axis < len(shape):
        return None
    shape[axis] = zero.size
    return zero.reshape(shape)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small[::-1], large[::-1], strict=False))
