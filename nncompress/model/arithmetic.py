"""Computes constant arithmetic in front of a weight operand once: masks, low-rank updates, normalised weights.

A runtime does the same at load. Here it is done before anything is compressed, so that the operand is one weight, and
only where the result takes no more bytes than the constants that it replaces: what decodes integers stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from nncompress.model.constants import FLOATS, constant_of, note_bytes, stored_bytes
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before, root_of
from nncompress.model.inference import infer
from nncompress.model.model import Model, standard_opset
from nncompress.model.moves import moves
from nncompress.model.node_attributes import operand, standard_op
from nncompress.model.roles import operand_roles
from nncompress.model.tensors import lazy

_COMPUTES = {
    "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sign", "Sqrt", "Reciprocal", "Exp", "Log", "Pow", "Clip", "Min", "Max",
    "Sum", "Mean", "Floor", "Ceil", "Round", "Tanh", "Sigmoid", "Relu", "Erf", "Softplus", "Where", "Not", "Equal",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Pad", "MatMul", "Gemm", "Einsum", "ReduceSum",
    "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "LpNormalization", "ScatterND",
    "ScatterElements", "Trilu", "CumSum", "Softmax", "Concat", "ConstantOfShape", "Shape", "Size", "Range",
}  # fmt: skip
_MOST_NODES = 200  # of one expression
_FEW = 64  # elements: a smaller result is left, and of such constants shape inference is told the values


@dataclass(frozen=True)
class _Expression:
    """Nodes that compute `result` of constants alone, in an order in which they can run."""

    result: ir.Value
    nodes: tuple[ir.Node, ...]
    constants: tuple[ir.Value, ...]

    def unread(self) -> tuple[list[ir.Node], list[ir.Value]]:
        """The nodes and the constants that nothing reads any more once the result is there, readers first."""
        dead: dict[int, ir.Node] = {}
        for node in reversed(self.nodes):
            if all(out is self.result or _is_dead(out, dead) for out in node.outputs):
                dead[id(node)] = node
        freed = [value for value in self.constants if _is_dead(value, dead) and not value.is_graph_input()]
        return list(dead.values()), freed


def fold_arithmetic(model: Model) -> int:
    """Puts a constant in the place of every such expression; in place. Returns how many."""
    computed, count = _results_of_constants(model), 0
    if not computed:
        return 0
    names = Names(model)
    for scope in list(model.scopes()):
        for node in [node for node in scope if not any(id(out) in computed for out in node.outputs)]:
            for role in operand_roles(node):
                expression = _expression(operand(node, role.index), computed)
                if expression is not None:
                    count += _fold(model, expression, names)
    return count


def _results_of_constants(model: Model) -> dict[int, ir.Value]:
    """The values that nodes compute of nothing but constants, by id: all kept, or an id might come again."""
    computed: dict[int, ir.Value] = {}
    for scope in model.scopes():
        for node in scope:
            if not (standard_op(node) in _COMPUTES or moves(node)):
                continue
            if all(v is None or id(v) in computed or _is_fixed(v) for v in node.inputs) and any(node.inputs):
                computed.update((id(out), out) for out in node.outputs)
    return computed


def _is_fixed(value: ir.Value) -> bool:
    return constant_of(value) is not None and not value.is_graph_input()


def _expression(value: ir.Value | None, computed: Mapping[int, ir.Value]) -> _Expression | None:
    """What is computed of constants, in front of nodes that only rearrange the result; None: nothing of the kind."""
    while value is not None and id(value) in computed and (node := value.producer()) is not None and moves(node):
        value = operand(node, 0)
    if value is None or id(value) not in computed or value.is_graph_output():
        return None
    node = value.producer()
    if node is None or standard_op(node) == "Concat":
        return None
    nodes: dict[int, ir.Node] = {}
    constants: dict[int, ir.Value] = {}
    pending = [(value, False)]
    while pending:
        part, operands_done = pending.pop()
        producer = part.producer()
        if producer is None or id(part) not in computed:
            constants[id(part)] = part
        elif operands_done:
            nodes[id(producer)] = producer
        elif id(producer) not in nodes:
            pending.append((part, True))
            pending += [(read, False) for read in producer.inputs if read is not None]
    return _Expression(value, tuple(nodes.values()), tuple(constants.values())) if len(nodes) <= _MOST_NODES else None


def _is_dead(value: ir.Value, dead: dict[int, ir.Node]) -> bool:
    return not value.is_graph_output() and all(id(use.node) in dead for use in value.uses())


def _fold(model: Model, expression: _Expression, names: Names) -> bool:
    """True if the result took the place of the expression."""
    dead, freed = expression.unread()
    room = sum(map(_nbytes, freed))
    producer = expression.result.producer()
    if not freed or producer is None:
        return False
    scope = home_of(producer)
    root = root_of(model, scope)
    opset = standard_opset(root, model.opset) if isinstance(root, ir.Function) else model.opset
    tensor = _computed(expression, opset, most_bytes=room)
    if tensor is None:
        return False
    constant = Draft(names)
    value = constant.constant(tensor, "c")
    note_bytes(value, sum(stored_bytes(read, held) for read in freed if (held := constant_of(read)) is not None))
    name = _name_of(expression.result, freed)
    expression.result.replace_all_uses_with(value)
    for node in dead:
        home_of(node).remove(node, safe=True)
    for read in freed:
        drop_if_unread(read)
    value.name = tensor.name = name
    insert_before(model, scope, constant, next(iter(scope), None))
    return True


def _name_of(result: ir.Value, freed: list[ir.Value]) -> str | None:
    """That of the largest constant, which the user knows; of the result where two are equally large."""
    by_size = sorted(freed, key=_nbytes, reverse=True)
    alone = len(by_size) == 1 or _nbytes(by_size[0]) > _nbytes(by_size[1])
    return by_size[0].name if alone else result.name


def _nbytes(value: ir.Value) -> int:
    tensor = constant_of(value)
    return tensor.nbytes if tensor is not None else 0


# ------------------------------------------------------------------------------------------------ the computation
def _computed(expression: _Expression, opset: int, most_bytes: int) -> ir.LazyTensor | None:
    """The result, computed by every access; None where it is no float weight, is larger than that, or the reference
    implementation of an operator fails, of which nothing says how."""
    tensors = {value.name or "": tensor for value in expression.constants if (tensor := constant_of(value)) is not None}
    if len(tensors) < len(expression.constants):
        return None  # two graphs call different constants the same
    proto = _as_model(expression, tensors, opset)
    sizes = _sizes(proto, expression, largest=2 * max([most_bytes, *(tensor.nbytes for tensor in tensors.values())]))
    if not sizes:
        return None
    large = [name for name, tensor in tensors.items() if tensor.size > _FEW]

    def compute() -> np.ndarray:
        (result,) = ReferenceEvaluator(proto).run(None, {name: tensors[name].numpy() for name in large})
        return np.asarray(result)

    try:
        with np.errstate(all="ignore"):
            result = compute()
        dtype = ir.DataType.from_numpy(result.dtype)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError):
        return None
    if dtype not in FLOATS or result.size < _FEW or result.nbytes > most_bytes:
        return None
    return lazy(compute, dtype, result.shape, "")


def _as_model(expression: _Expression, tensors: dict[str, ir.TensorProtocol], opset: int) -> onnx.ModelProto:
    """The expression alone; large constants are inputs."""
    inputs, small = [], []
    for name, tensor in tensors.items():
        if tensor.size > _FEW:
            shape = [int(d) for d in tensor.shape.numpy()]
            inputs.append(onnx.helper.make_tensor_value_info(name, int(tensor.dtype), shape))
        else:
            small.append(onnx.numpy_helper.from_array(tensor.numpy(), name))
    nodes = [ir.serde.serialize_node(node) for node in expression.nodes]
    output = onnx.ValueInfoProto(name=expression.result.name or "")
    graph = onnx.helper.make_graph(nodes, "expression", inputs, [output], small)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def _sizes(proto: onnx.ModelProto, expression: _Expression, largest: int) -> dict[str, int]:
    """Bytes of every result; {} where one is not known before, or larger than that."""
    try:
        inferred = infer(proto)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    sizes: dict[str, int] = {}
    for info in (*inferred.graph.value_info, *inferred.graph.output):
        kind = info.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            sizes[info.name] = 8 * math.prod(dim.dim_value for dim in kind.shape.dim)
    results = {out.name for node in expression.nodes for out in node.outputs if out.name}
    return sizes if results <= set(sizes) and max(sizes.values(), default=0) <= 2 * largest else {}
