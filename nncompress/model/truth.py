"""Checks that a model file says the truth about itself, before anything relies on it.

These are the lies that would make a reader allocate, recurse or compute without bound, or silently lose something:
tensor data that do not fit their shape, names given twice, functions that call themselves. What merely breaks the
ONNX standard is asked of `onnx.checker` and returned as a complaint: onnxruntime runs some such models.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import TensorProto

from nncompress.errors import InputError

MOST_ELEMENTS = 1 << 40
MOST_DIMENSIONS = 64  # numpy's limit
MOST_EXPANDED_NODES = 100_000  # after inlining all functions, or MOST_TIMES as many nodes as are stored, if that is
MOST_TIMES = 20  # more; a hostile file of 4 kB can reach 2^26, and shape inference visits every one of them
MOST_FUNCTIONS = 100_000  # each takes half a kilobyte of memory, and three bytes in a file
DEEPEST_CALLS = 500  # functions calling functions; onnxruntime inlines recursively and overflows its stack later

_TYPED_FIELD: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.COMPLEX64: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.COMPLEX128: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.STRING: "string_data",
}  # all others: int32_data
_FIELDS = ("raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_BITS: dict[int, int] = {
    **dict.fromkeys((TensorProto.INT64, TensorProto.UINT64, TensorProto.DOUBLE, TensorProto.COMPLEX64), 64),
    **dict.fromkeys((TensorProto.INT32, TensorProto.UINT32, TensorProto.FLOAT), 32),
    **dict.fromkeys((TensorProto.INT16, TensorProto.UINT16, TensorProto.FLOAT16, TensorProto.BFLOAT16), 16),
    **dict.fromkeys((TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1), 4),
    TensorProto.COMPLEX128: 128,
}
_BITS |= {getattr(TensorProto, name): 2 for name in ("INT2", "UINT2") if hasattr(TensorProto, name)}


def check_header(proto: onnx.ModelProto) -> None:
    """Raises InputError unless the file is a model that this version can understand at all."""
    if len(proto.functions) > MOST_FUNCTIONS:
        raise InputError(f"{len(proto.functions):,} functions are more than {MOST_FUNCTIONS:,}")
    if not proto.HasField("graph"):
        raise InputError("it is not an ONNX model: it holds no graph")
    if not all(node.op_type for node in proto.graph.node):
        raise InputError("it has a node without an operator")
    if not proto.graph.node:
        raise InputError("its graph has no nodes")
    if proto.ir_version < 1 or not proto.opset_import:
        raise InputError(f"it names no IR version or opset (IR {proto.ir_version}): it is not a complete ONNX model")
    if proto.ir_version > onnx.IR_VERSION:
        raise InputError(f"IR version {proto.ir_version} is newer than {onnx.IR_VERSION}, the newest that is known")
    newest = onnx.defs.onnx_opset_version()
    for entry in proto.opset_import:
        if entry.version < 1 or (entry.domain in ("", "ai.onnx") and entry.version > newest):
            raise InputError(f"opset {entry.version} is not between 1 and {newest}, the newest that is known")
    if proto.training_info:
        raise InputError("it holds training_info, which would be lost: export the model for inference")


def check_tensors(proto: onnx.ModelProto) -> None:
    """Raises InputError for the first tensor whose data do not fit its shape and type."""
    for tensor in all_tensors(proto):
        problem = tensor_problem(tensor)
        if problem:
            raise InputError(f"tensor {tensor.name!r}: {problem}")


def tensor_problem(tensor: TensorProto) -> str | None:
    """What is wrong with the dimensions, the type or the amount of data of `tensor`; None if nothing is."""
    if tensor.data_type == 0 or tensor.data_type not in TensorProto.DataType.values():
        return f"unknown data type {tensor.data_type}"
    if tensor.HasField("segment"):
        return "it is a segment of a tensor, which onnxruntime does not read"
    if any(d < 0 for d in tensor.dims):
        return f"negative dimension in {list(tensor.dims)}"
    if len(tensor.dims) > MOST_DIMENSIONS:
        return f"{len(tensor.dims)} dimensions are more than {MOST_DIMENSIONS}"
    elements = math.prod(tensor.dims)
    if elements > MOST_ELEMENTS:
        return f"its shape {list(tensor.dims)} has more than 2^40 elements"
    wanted = nbytes(tensor.data_type, elements)
    if tensor.data_location == TensorProto.EXTERNAL:
        return external_problem(tensor, wanted)
    filled = [name for name in _FIELDS if len(getattr(tensor, name))]
    if len(filled) > 1:
        return f"its data are given twice, as {' and '.join(filled)}"
    if filled and filled[0] != "raw_data" and tensor.HasField("raw_data"):
        return f"its data are given twice, as {filled[0]} and as raw_data that are empty"
    if not filled:
        return None if elements == 0 else f"no data for shape {list(tensor.dims)}"
    if filled[0] == "raw_data":
        if tensor.data_type == TensorProto.STRING:
            return "strings as raw data"
        found = len(tensor.raw_data)
        return None if found == wanted else f"{found} bytes of data, but shape {list(tensor.dims)} needs {wanted}"
    right = _TYPED_FIELD.get(tensor.data_type, "int32_data")
    if filled[0] != right:
        return f"its data are in {filled[0]}, not in {right}"
    values = _typed_values(tensor.data_type, elements)
    found = len(getattr(tensor, right))
    return None if found == values else f"{found} values, but shape {list(tensor.dims)} needs {values}"


def external_problem(tensor: TensorProto, wanted: int) -> str | None:
    """What is wrong with the stated place of external data (the file itself is checked when it is opened)."""
    if tensor.data_type == TensorProto.STRING:
        return "strings cannot be external data"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    for key in ("offset", "length"):
        text = entries.get(key, "0")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            return f"the {key} of its external data is {text!r}"
    if "length" in entries and int(entries["length"]) != wanted:
        return f"external data of {entries['length']} bytes, but shape {list(tensor.dims)} needs {wanted}"
    return None


def nbytes(data_type: int, elements: int) -> int:
    """Bytes of raw data of `elements` values."""
    return -(-elements * _BITS.get(data_type, 8) // 8)


def _typed_values(data_type: int, elements: int) -> int:
    if data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        return 2 * elements
    return -(-elements * _BITS[data_type] // 8) if _BITS.get(data_type, 8) < 8 else elements


# ------------------------------------------------------------------------------------------------ names
def check_names(proto: onnx.ModelProto) -> None:
    """Raises InputError where one graph gives the same name to two initializers or to two inputs."""
    for graph in all_graphs(proto):
        for what, names in (
            ("initializer", [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]),
            ("input", [i.name for i in graph.input]),
            ("node output", [name for node in graph.node for name in node.output if name]),
        ):
            if len(set(names)) < len(names):
                twice = Counter(names).most_common(1)[0][0]
                raise InputError(f"graph {graph.name!r} has two {what}s called {twice!r}")


# ------------------------------------------------------------------------------------------------ functions
def check_functions(proto: onnx.ModelProto) -> None:
    """Raises InputError if functions call themselves, or if inlining them would not end within a sane size."""
    functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
    if len(functions) < len(proto.functions):
        raise InputError("two functions have the same domain, name and overload")
    for function in proto.functions:
        if any(_graphs(attribute) for attribute in function.attribute_proto):
            raise InputError(f"function {function.name!r} has a graph as a default attribute, which is not supported")
    size: dict[tuple[str, str, str], int] = {}  # nodes after inlining
    depth: dict[tuple[str, str, str], int] = {}
    for root in functions:
        path: list[tuple[str, str, str]] = []
        stack = [(root, False)]
        while stack:
            key, done = stack.pop()
            called = [(n.domain, n.op_type, n.overload) for n in nodes_of(functions[key].node)]
            if done:
                path.pop()
                inner = [c for c in called if c in functions]
                size[key] = sum(size.get(c, 1) for c in called)
                depth[key] = 1 + max((depth[c] for c in inner), default=0)
                continue
            if key in size:
                continue
            if key in path:
                raise InputError(f"function {key[1]!r} calls itself")
            path.append(key)
            stack.append((key, True))
            stack += [(c, False) for c in called if c in functions and (c in path or c not in size)]
    called = [(n.domain, n.op_type, n.overload) for n in nodes_of(proto.graph.node)]
    stored = len(called) + sum(1 for f in proto.functions for _ in nodes_of(f.node))
    allowed = max(MOST_EXPANDED_NODES, MOST_TIMES * stored)
    if sum(size.get(c, 1) for c in called) > allowed:
        raise InputError(f"its functions expand to more than {allowed:,} nodes")
    if max(depth.values(), default=0) > DEEPEST_CALLS:
        raise InputError(f"its functions call one another more than {DEEPEST_CALLS} deep")


# ------------------------------------------------------------------------------------------------ the standard
def checker_complaint(proto: onnx.ModelProto) -> str | None:
    """What onnx.checker or strict shape inference say against a model whose large data are elsewhere; None if fine."""
    hollow = onnx.ModelProto()
    hollow.CopyFrom(proto)
    for tensor in all_tensors(hollow):
        if tensor.data_location == TensorProto.EXTERNAL:  # the checker would look for the file
            del tensor.external_data[:], tensor.dims[:]
            tensor.ClearField("data_location")
            tensor.dims.append(0)
    try:
        onnx.checker.check_model(hollow)
        onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return " ".join(str(error).split())[:300]
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        return " ".join(str(error).split())[:300]
    return None


# ------------------------------------------------------------------------------------------------ walking a proto
def all_graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every graph inside a node, at any depth, those in functions too."""
    yield proto.graph
    for nodes in [proto.graph.node, *(f.node for f in proto.functions)]:
        for node in nodes_of(nodes):
            for attribute in node.attribute:
                yield from _graphs(attribute)


def all_tensors(proto: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor: initializers, the values and indices of sparse ones, attributes."""
    for graph in all_graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in _attributes(proto):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in [attribute.sparse_tensor] * attribute.HasField("sparse_tensor"):
            yield from (sparse.values, sparse.indices)


def _attributes(proto: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    """Every attribute of a node at any depth, and those that functions have by default."""
    for function in proto.functions:
        yield from function.attribute_proto
    for nodes in [proto.graph.node, *(f.node for f in proto.functions)]:
        for node in nodes_of(nodes):
            yield from node.attribute


def nodes_of(nodes: object) -> Iterator[onnx.NodeProto]:
    """The nodes and those of all graphs inside them."""
    stack = [nodes]
    while stack:
        for node in stack.pop():  # type: ignore[attr-defined]
            yield node
            for attribute in node.attribute:
                stack += [graph.node for graph in _graphs(attribute)]


def _graphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    return ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)
