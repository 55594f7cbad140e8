"""Brings a model into the plain form that passes work on, without changing what it computes.

Constant nodes become initializers (nested ones those of their own graph), constants that nothing reads are dropped,
names that would be mistaken for others are changed, and weights that hold the same bytes become one. Functions cannot
have initializers and keep their Constant nodes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import onnx_ir as ir

from nncompress.model.edit import Names, drop_if_unread, keeps_constants_as_nodes
from nncompress.model.lineage import note_duplicate, note_name
from nncompress.model.model import Model, Scope
from nncompress.model.node_attributes import standard_op
from nncompress.model.origins import constant_tensor
from nncompress.model.tensors import FileTensor, raw_blocks, same_data
from nncompress.model.weights import GIVEN_NAME, Weight, find_weights

SMALLEST_MERGED_BYTES = 64  # less than what a second initializer costs in names and headers
_PROBE_BYTES = 4096
_QUANT_PARAMETERS = "quant_parameter_tensor_names"  # where onnx-ir keeps them


def normalise(model: Model) -> None:
    """Drops what is dead, lifts constants, sets names apart, merges duplicates; in place."""
    drop_dead_constants(model)
    lift_constants(model)
    set_names_apart(model)
    merge_duplicates(model)


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
    count, annotating = 0, _annotating(model)
    for scope in list(model.scopes()):
        for value in list(getattr(scope, "initializers", {}).values()):
            count += value.name not in annotating and drop_if_unread(scope, value)
        for node in list(scope):
            if standard_op(node) == "Constant":
                count += drop_if_unread(scope, node.outputs[0])
    return count


def _annotating(model: Model) -> set[str]:
    """Initializers that no node reads but quantization_annotation names: scales and zero points of activations."""
    names: set[str] = set()
    for graph in (model.ir.graph, *model.ir.graph.subgraphs()):
        values = [*graph.inputs, *graph.initializers.values(), *(out for node in graph for out in node.outputs)]
        names.update(name for value in values for name in (value.meta.get(_QUANT_PARAMETERS) or {}).values())
    return names


def set_names_apart(model: Model) -> int:
    """Renames what has the name of a constant in a graph around its own, and weights called like others; how many."""
    names = Names(model)
    hiding = [pair for scope in _inner(model.ir.graph) for pair in _hiding(scope)]
    for scope, value in hiding:
        _rename(scope, value, names.new(f"{value.name}_"))
    by_name: dict[str, list[Weight]] = {}
    for weight in find_weights(model):
        by_name.setdefault(weight.name, []).append(weight)
    again = [weight for weights in by_name.values() for weight in _all_but_one(model, weights)]
    for weight in again:
        _rename(weight.scope, weight.value, names.new(f"{weight.name}_"))
    return len(hiding) + len(again)


def _inner(graph: ir.Graph, around: tuple[ir.Graph, ...] = ()) -> Iterator[tuple[ir.Graph, ...]]:
    """Every graph below `graph`, each behind those around it."""
    for node in graph:
        for attr in node.attributes.values():
            if attr.is_ref() or attr.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
                continue
            for inner in attr.as_graphs() if attr.type == ir.AttributeType.GRAPHS else (attr.as_graph(),):
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


def _rename(scope: Scope, value: ir.Value, name: str) -> None:
    value.meta.setdefault(GIVEN_NAME, value.name)
    if value.is_initializer():
        del scope.initializers[value.name]  # type: ignore[union-attr, arg-type]
        if value.const_value is not None:
            value.const_value = same_data(value.const_value)  # the model that this is a clone of holds it too
        value.name = name
        scope.initializers.add(value)  # type: ignore[union-attr]
    else:
        value.name = name
    note_name(value)


def merge_duplicates(model: Model) -> int:
    """Makes weights of the same type, shape and bytes one, and so other constants; returns how many were dropped.

    A weight moves to the main graph if the others lie in graphs that cannot see it. Other constants become one only
    within their graph: onnxruntime looks for the operands of some operators, such as DequantizeLinear, nowhere else.
    """
    groups: dict[object, list[tuple[Scope, ir.Value]]] = {}
    weights = {id(weight.value) for weight in find_weights(model)}
    for scope, value in _mergeable(model):
        tensor = value.const_value
        assert tensor is not None
        # a bias that happens to equal a weight is not to be compressed with it
        group = (tensor.dtype, tuple(tensor.shape.numpy()), None if id(value) in weights else id(scope))
        groups.setdefault(group, []).append((scope, value))
    names: Names | None = None
    count = 0
    for candidates in groups.values():
        for same in _equal_sets(candidates):
            (home, kept), *others = same
            if any(scope is not home for scope, _ in others) and home is not model.ir.graph:
                names = names or Names(model)
                _move_to_main(model, home, kept, names)
            for scope, value in others:
                value.replace_all_uses_with(kept)
                note_duplicate(value, kept)
                drop_if_unread(scope, value)
                count += 1
    return count


def _mergeable(model: Model) -> Iterator[tuple[Scope, ir.Value]]:
    """Initializers that may be merged, those of the main graph first."""
    annotating = _annotating(model)
    for scope in (model.ir.graph, *model.ir.graph.subgraphs()):
        for value in scope.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes < SMALLEST_MERGED_BYTES:
                continue
            if not (value.is_graph_input() or value.is_graph_output() or value.name in annotating):
                yield scope, value


def _equal_sets(candidates: list[tuple[Scope, ir.Value]]) -> list[list[tuple[Scope, ir.Value]]]:
    """Sets of two or more with the same bytes. The ends are compared first, so that few tensors are read whole."""
    if len(candidates) < 2:
        return []
    probes = [_probe(value) for _, value in candidates]
    often = Counter(probes)
    by_content: dict[bytes, list[tuple[Scope, ir.Value]]] = {}
    for candidate, probe in zip(candidates, probes, strict=True):
        if often[probe] > 1:
            by_content.setdefault(_digest(candidate[1]), []).append(candidate)
    return [same for same in by_content.values() if len(same) > 1]


def _probe(value: ir.Value) -> bytes:
    """A digest of the first and the last bytes."""
    tensor = value.const_value
    assert tensor is not None
    if isinstance(tensor, FileTensor):
        head = min(_PROBE_BYTES, tensor.nbytes)
        last = tensor.offset + tensor.nbytes - head
        return hashlib.sha256(tensor.file.read(tensor.offset, head) + tensor.file.read(last, head)).digest()
    raw = tensor.tobytes()
    return hashlib.sha256(raw[:_PROBE_BYTES] + raw[-_PROBE_BYTES:]).digest()


def _digest(value: ir.Value) -> bytes:
    assert value.const_value is not None
    digest = hashlib.sha256()
    for block in raw_blocks(value.const_value):
        digest.update(block)
    return digest.digest()


def _move_to_main(model: Model, home: Scope, value: ir.Value, names: Names) -> None:
    _rename(home, value, names.new("shared"))
    del home.initializers[value.name]  # type: ignore[union-attr, arg-type]
    model.ir.graph.initializers.add(value)
