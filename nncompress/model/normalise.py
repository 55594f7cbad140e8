"""Brings a model into the plain form that passes work on, without changing what it computes.

Constant nodes become initializers (nested ones those of their own graph), constants that nothing reads are dropped,
names that would be mistaken for others are changed, QuantizeLinear of a constant becomes its codes, and weights that
hold the same bytes, or the same matrix transposed, become one. Functions cannot have initializers and keep their
Constant nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from nncompress.model.codes import store_codes
from nncompress.model.constants import annotating, constant_tensor
from nncompress.model.duplicates import merge_duplicates, merge_transposed
from nncompress.model.edit import Names, drop_if_unread, keeps_constants_as_nodes, rename
from nncompress.model.lineage import note_name
from nncompress.model.model import Model, Scope, graphs_of
from nncompress.model.node_attributes import standard_op
from nncompress.model.tensors import same_data
from nncompress.model.weights import GIVEN_NAME, Weight, find_weights
from nncompress.results.record import Rewritten


@dataclass(frozen=True)
class Normalised:
    """What became smaller by it alone."""

    rewritten: tuple[Rewritten, ...]  # weights that are stored in another way now
    dropped: int  # constants that nothing read
    merged: int  # constants that others hold the bytes of


def normalise(model: Model) -> Normalised:
    """Drops what is dead, lifts constants, sets names apart, stores codes, merges duplicates; in place."""
    dropped = drop_dead_constants(model)
    lift_constants(model)
    set_names_apart(model)
    rewritten = store_codes(model)
    return Normalised(tuple(rewritten), dropped, merge_duplicates(model) + merge_transposed(model))


def lift_constants(model: Model) -> int:
    """Turns Constant nodes that hold a tensor into initializers; returns how many."""
    count = 0
    names: Names | None = None
    for scope in list(model.scopes()):
        if keeps_constants_as_nodes(model, scope):
            continue
        for node in list(scope):
            value = node.outputs[0] if node.outputs else None
            tensor = constant_tensor(value) if standard_op(node) == "Constant" else None
            if value is None or tensor is None or value.is_graph_output() or not value.name:
                continue
            name = value.name
            if name in scope.initializers:  # type: ignore[union-attr]
                names = names or Names(model)
                name = names.new("c")
            tensor = same_data(tensor)
            tensor.name = name
            lifted = ir.Value(
                name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            lifted.meta.update(value.meta)
            if name != value.name:
                lifted.meta.setdefault(GIVEN_NAME, value.name)
                note_name(lifted)
            value.replace_all_uses_with(lifted)
            scope.remove(node, safe=True)
            scope.initializers.add(lifted)  # type: ignore[union-attr]
            count += 1
    return count


def drop_dead_constants(model: Model) -> int:
    """Removes initializers and Constant nodes that nothing reads; returns how many."""
    count, named = 0, annotating(model)
    for scope in list(model.scopes()):
        for value in list(getattr(scope, "initializers", {}).values()):
            count += value.name not in named and drop_if_unread(value)
        for node in list(scope):
            if standard_op(node) == "Constant":
                count += drop_if_unread(node.outputs[0])
    return count


def set_names_apart(model: Model) -> int:
    """Renames what has the name of a constant in a graph around its own, and weights called like others; how many."""
    names: Names | None = None
    hiding = [pair for scope in _inner(model.ir.graph) for pair in _hiding(scope)]
    for scope, value in hiding:
        names = names or Names(model)
        rename(scope, value, names.new(f"{value.name}_"))
    by_name: dict[str, list[Weight]] = {}
    for weight in find_weights(model):
        by_name.setdefault(weight.name, []).append(weight)
    again = [weight for weights in by_name.values() for weight in _all_but_one(model, weights)]
    for weight in again:
        names = names or Names(model)
        rename(weight.scope, weight.value, names.new(f"{weight.name}_"))
    return len(hiding) + len(again)


def _inner(graph: ir.Graph, around: tuple[ir.Graph, ...] = ()) -> Iterator[tuple[ir.Graph, ...]]:
    """Every graph below `graph`, each behind those around it."""
    for node in graph:
        for attr in node.attributes.values():
            for inner in graphs_of(attr):
                yield (*around, graph, inner)
                yield from _inner(inner, (*around, graph))


def _hiding(graphs: tuple[ir.Graph, ...]) -> list[tuple[Scope, ir.Value]]:
    """Values of the last graph that are called like a constant of one before."""
    *around, own = graphs
    values = [*own.inputs, *own.initializers.values(), *(out for node in own for out in node.outputs)]
    hiding = {id(v): v for v in values if v.name and any(v.name in graph.initializers for graph in around)}
    return [(own, value) for value in hiding.values()]


def _all_but_one(model: Model, weights: list[Weight]) -> list[Weight]:
    """Of weights with one name those that give way: one of the main graph, or else the first, keeps it."""
    kept = next((weight for weight in weights if weight.scope is model.ir.graph), weights[0])
    return [weight for weight in weights if weight is not kept and not weight.value.is_graph_output()]
