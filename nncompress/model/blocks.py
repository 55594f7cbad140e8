"""Cuts the main graph into blocks: what a value takes to compute, given values that are there already.

Nodes that only constants reach belong to every block that needs them, for a runtime computes them once, at load. A node
with graphs of its own, or one that calls a function, is one step like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import onnx_ir as ir

from nncompress.model.constants import constant_tensor
from nncompress.model.freeze import INITIALIZERS_FROM_IR
from nncompress.model.inside import show
from nncompress.model.kind import Kind
from nncompress.model.model import Model

RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
)
_HANDS_OUT_OTHERS = frozenset(("SequenceEmpty", "SequenceConstruct", "SequenceInsert", "SequenceErase"))
_HANDS_OUT_OTHERS |= {"SplitToSequence", "SequenceMap", "Optional", "OptionalGetElement"}
_PYTHON_LACKS = {"BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"}
_PYTHON_LACKS |= {"FLOAT4E2M1", "INT4", "UINT4", "INT2", "UINT2"}


def reads_of(node: ir.Node) -> list[ir.Value]:
    """Its inputs, and what graphs inside it take from the graph in which it lies."""
    values = [value for value in node.inputs if value is not None]
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            values += _captured(attribute.as_graph(), node)
        elif attribute.type == ir.AttributeType.GRAPHS:
            for graph in attribute.as_graphs():
                values += _captured(graph, node)
    return list({id(value): value for value in values}.values())


def nodes_behind(values: Iterable[ir.Value], there: Collection[str]) -> list[ir.Node]:
    """The nodes that compute `values` from those that are there, each behind those whose results it reads."""
    order: dict[int, ir.Node] = {}
    open_: set[int] = set()
    stack = [node for value in values if (node := _producer(value, there)) is not None]
    while stack:
        node = stack[-1]
        if id(node) in order:
            stack.pop()
        elif id(node) in open_:
            order[id(node)] = node
            stack.pop()
        else:
            open_.add(id(node))
            before = [producer for value in reads_of(node) if (producer := _producer(value, there)) is not None]
            stack += [producer for producer in before if id(producer) not in order]
    return list(order.values())


def constant_nodes(nodes: Iterable[ir.Node]) -> set[int]:
    """The ids of those, in topological order, that nothing but constants reaches."""
    constant: set[int] = set()
    for node in nodes:
        if not draws_random_numbers(node) and all(_is_constant(value, constant) for value in reads_of(node)):
            constant.add(id(node))
    return constant


def names_read(nodes: Iterable[ir.Node]) -> list[str]:
    """Of the values that these nodes read, each once."""
    return list(dict.fromkeys(value.name for node in nodes for value in reads_of(node) if value.name is not None))


def draws_random_numbers(node: ir.Node) -> bool:
    """Whether it, or a node inside it, does not compute the same twice."""
    inner = (inside for attribute in node.attributes.values() for inside in _inside(attribute))
    return any(each.op_type in RANDOM or _drops_out(each) for each in (node, *inner))


def _drops_out(node: ir.Node) -> bool:
    """True for a Dropout that trains, or may."""
    mode = node.inputs[2] if node.op_type == "Dropout" and len(node.inputs) > 2 else None
    tensor = constant_tensor(mode)
    return mode is not None and (tensor is None or bool(tensor.numpy().any()))


def obstacle_to_carry(value: ir.Value) -> str | None:
    """Why a value cannot be kept from one block to another; None if it can."""
    producer = value.producer()
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return f"{value.name!r} is no tensor"
    if value.type is None and producer is not None and producer.op_type in _HANDS_OUT_OTHERS:
        return f"{value.name!r} is no tensor"
    if value.type is not None and value.type.dtype.name in _PYTHON_LACKS:
        return f"{value.name!r} is {value.type.dtype.name.lower()}"
    return None


def block_model(model: Model, nodes: list[ir.Node], inputs: Mapping[str, Kind], outputs: Collection[str]) -> Model:
    """A model of these nodes, in topological order, that shares the tensors of `model`; `outputs` may lie inside an
    If."""
    results = {value.name: value for node in nodes for value in node.outputs}
    inside = [name for name in outputs if name not in results]
    read = {value.name: value for node in nodes for value in reads_of(node)}
    constants = [value for name, value in read.items() if name not in inputs and value.is_initializer()]
    view = ir.GraphView(
        [read[name] for name in inputs], [results[name] for name in outputs if name in results], nodes=nodes,
        initializers=constants, opset_imports=model.ir.graph.opset_imports, name="block",
    )  # fmt: skip
    graph = view.clone()
    for value, kind in zip(graph.inputs, inputs.values(), strict=True):
        dtype = ir.DataType.STRING if kind.dtype is None else ir.DataType.from_numpy(kind.dtype)
        value.type = ir.TensorType(dtype)
        value.shape = None if kind.rank is None else ir.Shape([None] * kind.rank)
    version = max(model.ir.ir_version, INITIALIZERS_FROM_IR)
    block = Model(ir.Model(graph, ir_version=version, functions=tuple(model.ir.functions.values())))
    if inside:
        graph.outputs.extend(show(block, inside))
    return block


def _producer(value: ir.Value, there: Collection[str]) -> ir.Node | None:
    return None if value.name in there else value.producer()


def _is_constant(value: ir.Value, constant: Collection[int]) -> bool:
    producer = value.producer()
    if producer is not None:
        return id(producer) in constant
    return constant_tensor(value) is not None and not value.is_graph_input()


def _inside(attribute: ir.Attr) -> Iterator[ir.Node]:
    if attribute.is_ref() or attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return
    for graph in [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs():
        yield from ir.traversal.RecursiveGraphIterator(graph)


def _captured(graph: ir.Graph, holder: ir.Node) -> list[ir.Value]:
    """What `graph` and those inside it read of the graph in which `holder` lies."""
    read = list(graph.outputs)
    for node in ir.traversal.RecursiveGraphIterator(graph):
        read += [value for value in node.inputs if value is not None]
        for attribute in node.attributes.values():
            if not attribute.is_ref() and attribute.type == ir.AttributeType.GRAPH:
                read += list(attribute.as_graph().outputs)
    return [value for value in read if value.graph is holder.graph]
