"""Checks that every name that a graph reads is one that something in sight defines, and no two things in sight do.

The order of nodes is not looked at: onnxruntime runs models whose nodes stand in another one. onnx-ir would make up a
value for a name that nothing defines, and drop an initializer that has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx

from nncompress.errors import InputError
from nncompress.onnx_file.walk import all_graphs, graphs_of

Outer = tuple[set[str], ...]  # the names of the graphs around, the innermost last


def check_scopes(proto: onnx.ModelProto) -> None:
    """Raises InputError for the first name without a definition, in the main graph, in graphs inside, in functions."""
    _check_graph(proto.graph, ())
    for function in proto.functions:
        own = {*function.input, *_outputs(function.node)}
        _check_nodes(function.node, (own,), f"function {function.name!r}")
        _check_outputs(function.output, own, f"function {function.name!r}")


def _check_graph(graph: onnx.GraphProto, outer: Outer) -> None:
    where = f"graph {graph.name!r}"
    constants = [tensor.name for tensor in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
    if "" in constants:
        raise InputError(f"{where} has an initializer without a name")
    own = {*(info.name for info in graph.input), *constants, *_outputs(graph.node)}
    for names in outer:
        for name in sorted(own & names):
            raise InputError(f"{where} defines {name!r} again, which a graph around it has: ONNX forbids that")
    _check_nodes(graph.node, (*outer, own), where)
    _check_outputs((info.name for info in graph.output), own, where)


def _check_nodes(nodes: Iterable[onnx.NodeProto], visible: Outer, where: str) -> None:
    own = visible[-1]
    for node in nodes:
        if not node.output and node.domain in ("", "ai.onnx"):
            raise InputError(f"{where}: node {node.name!r} ({node.op_type}) has no output")
        for name in node.input:
            if name and name not in own and not any(name in names for names in visible):
                raise InputError(f"{where}: node {node.name!r} ({node.op_type}) reads {name!r}, which nothing defines")
        for attribute in node.attribute if node.attribute else ():
            for graph in graphs_of(attribute):
                _check_graph(graph, visible)


def _check_outputs(names: Iterable[str], own: set[str], where: str) -> None:
    for name in names:
        if name not in own:
            raise InputError(f"{where}: its output {name!r} is computed by none of its nodes")


def _outputs(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    return [name for node in nodes for name in node.output if name]


def check_names(proto: onnx.ModelProto) -> None:
    """Raises InputError where a graph or a function gives one name to two things, or the model names an output twice.

    Results of graphs inside nodes are told apart by their places, so that these may be the same value twice.
    """
    for graph in all_graphs(proto):
        where = f"graph {graph.name!r}"
        constants = [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
        inputs, results = [info.name for info in graph.input], _outputs(graph.node)
        _refuse_repeated(where, "initializer", constants)
        _refuse_repeated(where, "input", inputs)
        _refuse_repeated(where, "node output", results)
        _refuse_shared(where, results, "initializer", constants)
        _refuse_shared(where, results, "input", inputs)
    _refuse_repeated(f"graph {proto.graph.name!r}", "output", [info.name for info in proto.graph.output])
    for function in proto.functions:
        where, results = f"function {function.name!r}", _outputs(function.node)
        attributes = [*function.attribute, *(attribute.name for attribute in function.attribute_proto)]
        _refuse_repeated(where, "attribute", attributes)
        _refuse_repeated(where, "input", list(function.input))
        _refuse_repeated(where, "output", list(function.output))
        _refuse_repeated(where, "node output", results)
        _refuse_shared(where, results, "input", list(function.input))


def _refuse_repeated(where: str, what: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{where} has two {what}s called {Counter(names).most_common(1)[0][0]!r}")


def _refuse_shared(where: str, results: list[str], what: str, names: list[str]) -> None:
    shared = set(results) & set(names)
    if shared:
        raise InputError(f"{where} has {min(shared)!r} both as a node output and as an {what}")
