"""Counts what is in a model: parameters, bytes by type and operator, non-zeros, multiply-accumulates, and what is
already quantized.

Nodes all of whose inputs are constant are computed by the runtime at load, so a stored weight may be several
constants and nodes. What counts as parameters and loaded bytes is what remains then: the constant values that the
other nodes read. Shapes come from ONNX shape inference; where it fails, figures that need them are None.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from nncompress.model.model import Model, Scope
from nncompress.model.origins import constant_tensor
from nncompress.model.write import marked_proto

_NOT_PARAMETERS = {ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL, ir.DataType.STRING}
_QUANTIZED_OPS = {
    "DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv",
    "QLinearMatMul", "MatMulNBits", "GatherBlockQuantized", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat", "QAttention", "QGemm", "QLinearAdd",
}  # fmt: skip
_LARGEST_COUNTED = 1 << 28  # elements: non-zeros of larger constants are not worth reading them
Shapes = dict[str, tuple[int | None, ...]]


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
    by_dtype: Counter[str] = Counter()
    by_op: Counter[str] = Counter()
    parameters = nonzeros = loaded = stored = 0
    for scope in model.scopes():
        ops.update(node.op_type for node in scope if node.op_type != "Constant")
        for value, tensor in _constants(scope):
            stored += tensor.nbytes
            by_dtype[tensor.dtype.name.lower()] += tensor.nbytes
            readers = sorted(use.node.op_type for use in value.uses())
            by_op[readers[0] if readers else "(unused)"] += tensor.nbytes
        for value, dtype, elements, known in _loaded_values(scope, shapes):
            loaded += math.ceil(elements * dtype.itemsize)
            if dtype not in _NOT_PARAMETERS:
                parameters += elements
                nonzeros += _nonzeros(value, known, elements) if count_nonzeros else elements
    return Inventory(
        parameters, nonzeros, loaded, stored, count_macs(model, shapes), sum(ops.values()),
        tuple(ops.most_common()), tuple(by_dtype.most_common()), tuple(by_op.most_common()), quantized_parts(model),
    )  # fmt: skip


def quantized_parts(model: Model) -> tuple[tuple[str, int], ...]:
    """What of the model is quantized already, and how many times."""
    found: Counter[str] = Counter()
    for scope in model.scopes():
        for node in scope:
            if node.op_type in _QUANTIZED_OPS:
                found[node.op_type] += 1
            elif node.op_type == "Cast" and node.inputs:
                tensor = constant_tensor(node.inputs[0])
                if tensor is not None and tensor.dtype.bitwidth <= 8 and tensor.size > 1:
                    found["integer weights behind Cast"] += 1
    return tuple(found.most_common())


def infer_shapes(model: Model) -> Shapes:
    """Shapes of all values that inference could find (None: a symbolic dimension); {} where it fails."""
    proto = marked_proto(model, f"shape-{secrets.token_hex(8)}")
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    shapes: Shapes = {}
    stack = [inferred.graph]
    while stack:
        graph = stack.pop()
        for info in (*graph.input, *graph.output, *graph.value_info):
            if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape"):
                dims = info.type.tensor_type.shape.dim
                shapes[info.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
        shapes.update({t.name: tuple(t.dims) for t in graph.initializer})
        stack += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return shapes


# ------------------------------------------------------------------------------------------------ constants
def _constants(scope: Scope) -> list[tuple[ir.Value, ir.TensorProtocol]]:
    values = [*getattr(scope, "initializers", {}).values(), *(n.outputs[0] for n in scope if n.op_type == "Constant")]
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
    if node.op_type == "Cast":
        return ir.DataType(node.attributes.get_int("to", int(ir.DataType.FLOAT)))
    if node.op_type == "DequantizeLinear" and len(node.inputs) > 1 and node.inputs[1] is not None:
        return dtypes[id(node.inputs[1])]
    first = next(v for v in node.inputs if v is not None)
    return dtypes[id(first)]


def _nonzeros(value: ir.Value, tensor: ir.TensorProtocol | None, elements: int) -> int:
    """Non-zeros of a constant; of a decoded one those of the largest constant behind it."""
    if elements > _LARGEST_COUNTED:
        return elements
    if tensor is not None:
        return int(np.count_nonzero(tensor.numpy()))
    behind, stack, seen = [], [value], set()
    while stack:
        node = stack.pop().producer()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        for operand in node.inputs:
            found = constant_tensor(operand)
            if found is not None:
                behind.append(found)
            elif operand is not None:
                stack.append(operand)
    largest = max(behind, key=lambda t: t.size, default=None)
    return min(elements, int(np.count_nonzero(largest.numpy()))) if largest is not None else elements


# ------------------------------------------------------------------------------------------------ MACs
def count_macs(model: Model, shapes: Shapes) -> int | None:
    """Multiply-accumulates of one inference of the main graph; None where a shape is not known.

    A symbolic first dimension counts as one sample. Conv, ConvTranspose, MatMul, Gemm, LSTM, GRU and RNN are counted.
    """
    total = 0
    for node in model.ir.graph:
        counter = _MACS.get(node.op_type)
        if counter is None:
            continue
        operands = [_shape_of(value, shapes) for value in (*node.inputs[:3], *node.outputs[:1])]
        if any(shape is None for shape in operands[:2]) or operands[-1] is None:
            return None
        count = counter(node, operands)
        if count is None:
            return None
        total += count
    return total


def _shape_of(value: ir.Value | None, shapes: Shapes) -> tuple[int, ...] | None:
    if value is None:
        return None
    tensor = constant_tensor(value)
    shape = tuple(tensor.shape.numpy()) if tensor is not None else shapes.get(value.name or "")
    if shape is None or any(d is None for d in shape[1:]):
        return None
    return tuple(int(1 if d is None else d) for d in shape)


_Operands = list[tuple[int, ...] | None]


def _conv(node: ir.Node, s: _Operands) -> int | None:
    return math.prod(s[-1]) * math.prod(s[1][1:]) if s[-1] and s[1] else None


def _conv_transpose(node: ir.Node, s: _Operands) -> int | None:
    return math.prod(s[0]) * math.prod(s[1][1:]) if s[0] and s[1] else None


def _matmul(node: ir.Node, s: _Operands) -> int | None:
    return math.prod(s[-1]) * s[0][-1] if s[-1] is not None and s[0] else None


def _gemm(node: ir.Node, s: _Operands) -> int | None:
    if not s[-1] or not s[0] or len(s[0]) != 2:
        return None
    return math.prod(s[-1]) * s[0][0 if node.attributes.get_int("transA", 0) else 1]


def _recurrent(node: ir.Node, s: _Operands) -> int | None:
    """Steps * batch * (input and recurrent matrices); the input is [steps, batch, size]."""
    if not s[0] or not s[1] or len(s) < 4 or not s[2]:
        return None
    return s[0][0] * s[0][1] * (math.prod(s[1]) + math.prod(s[2]))


_MACS = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MatMul": _matmul, "Gemm": _gemm,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent,
}  # fmt: skip
