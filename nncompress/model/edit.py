"""Rewires a graph: nodes and constants are drafted first, weighed, and then put in the place of a weight or a use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_tensor
from nncompress.model.lineage import note_name
from nncompress.model.model import Model, Scope, graphs_below
from nncompress.model.tensors import same_data
from nncompress.model.weights import GIVEN_NAME, Weight


class Names:
    """Hands out short names that the model does not use yet: every name is stored several times in the file."""

    def __init__(self, model: Model) -> None:
        self._taken_names = model.names()
        self._next: dict[str, int] = {}

    def new(self, prefix: str) -> str:
        number = self._next.get(prefix, 0)
        while (name := f"{prefix}{number}") in self._taken_names:
            number += 1
        self._next[prefix] = number + 1
        self._taken_names.add(name)
        return name


class Draft:
    """Constants and nodes that are not yet in a graph."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.constants: list[ir.Value] = []
        self.nodes: list[ir.Node] = []

    def constant(self, array: np.ndarray | ir.TensorProtocol, prefix: str) -> ir.Value:
        """A new constant; a tensor may be lazy."""
        name = self.names.new(prefix)
        tensor = ir.Tensor(array, name=name) if isinstance(array, np.ndarray) else array
        tensor.name = name
        value = ir.Value(
            name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.constants.append(value)
        return value

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, object] | None = None,
        domain: str = "",
    ) -> ir.Value:
        """A new node with one output, which is returned."""
        return self.outputs(op_type, inputs, 1, attributes, domain)[0]

    def outputs(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        count: int,
        attributes: dict[str, object] | None = None,
        domain: str = "",
    ) -> Sequence[ir.Value]:
        """The outputs of a new node that has several."""
        attrs = ir.convenience.convert_attributes(attributes or {})  # type: ignore[arg-type]
        node = ir.Node(domain, op_type, inputs, attrs, num_outputs=count)
        for output in node.outputs:
            output.name = self.names.new("v")
        self.nodes.append(node)
        return node.outputs


class Editor:
    """A model that is being rewired, and the names that are free in it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._names = Names(model)

    def draft(self) -> Draft:
        """An empty one."""
        return Draft(self._names)


def rename(scope: Scope, value: ir.Value, name: str) -> None:
    """Another name; the one in the file is remembered."""
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


def home_of(node: ir.Node) -> Scope:
    """The graph or function in which `node` lies."""
    home = node.graph
    assert home is not None, "nodes of a model lie in one of its graphs"
    return home


def keeps_constants_as_nodes(model: Model, scope: Scope) -> bool:
    """True where initializers are not possible: in functions."""
    return isinstance(root_of(model, scope), ir.Function)


def root_of(model: Model, scope: Scope) -> Scope:
    """The main graph or the function in which `scope` lies."""
    if scope is model.ir.graph or isinstance(scope, ir.Function):
        return scope
    for function in model.ir.functions.values():
        if scope is function.graph or any(scope is inner for inner in graphs_below(function)):
            return function
    return model.ir.graph


def put_in_place(model: Model, weight: Weight, draft: Draft, result: ir.Value) -> None:
    """The drafted nodes compute `result`, which takes the weight's name and all its readers."""
    name = weight.name
    weight.value.replace_all_uses_with(result)
    put_instead(model, weight, draft)
    result.name = name


def put_instead(model: Model, weight: Weight, draft: Draft) -> None:
    """The drafted constants and nodes come where the weight was, which nothing may read any more."""
    scope, producer = weight.scope, weight.value.producer()
    if producer is None:
        del scope.initializers[weight.name]  # type: ignore[union-attr]
        insert_before(model, scope, draft, next(iter(scope), None))
    else:
        insert_before(model, scope, draft, producer)
        scope.remove(producer, safe=True)


def insert_before(model: Model, scope: Scope, draft: Draft, node: ir.Node | None) -> None:
    """Puts the drafted constants into `scope` and the nodes right in front of `node` (None: at the end)."""
    nodes = _with_constants(model, scope, draft)
    if node is None:
        scope.extend(nodes)
    else:
        scope.insert_before(node, nodes)
    _unname(nodes)


def insert_behind(model: Model, scope: Scope, draft: Draft, value: ir.Value) -> None:
    """Puts the draft into `scope` where `value` is there: right behind what computes it, or first of all."""
    nodes = _with_constants(model, scope, draft)
    _put_behind(scope, nodes, value)
    _unname(nodes)


def move_behind(scope: Scope, node: ir.Node, value: ir.Value) -> None:
    """Moves a node of `scope` that reads nothing but `value` there, before whatever else may read its results."""
    scope.remove(node)
    _put_behind(scope, [node], value)


def _put_behind(scope: Scope, nodes: list[ir.Node], value: ir.Value) -> None:
    producer = value.producer()
    if producer is not None and producer.graph is scope:
        scope.insert_after(producer, nodes)
    elif (first := next(iter(scope), None)) is not None:
        scope.insert_before(first, nodes)
    else:
        scope.extend(nodes)


def _with_constants(model: Model, scope: Scope, draft: Draft) -> list[ir.Node]:
    """The drafted nodes, the constants before them where they have to be nodes; others go into the scope."""
    if keeps_constants_as_nodes(model, scope):
        return [_constant_node(value) for value in draft.constants] + draft.nodes
    for value in draft.constants:
        scope.initializers.add(value)  # type: ignore[union-attr]
    return draft.nodes


def _unname(nodes: Sequence[ir.Node]) -> None:
    """onnx-ir gives each one a name, which nothing needs."""
    for new in nodes:
        new.name = ""


def _constant_node(value: ir.Value) -> ir.Node:
    """A Constant node in the place of `value`, which must not be in a graph."""
    node = ir.Node("", "Constant", [], [ir.AttrTensor("value", value.const_value)], num_outputs=1)  # type: ignore[arg-type]
    name = value.name
    value.replace_all_uses_with(node.outputs[0])
    node.outputs[0].name = name
    node.outputs[0].meta.update(value.meta)
    return node


def drop_if_unread(value: ir.Value) -> bool:
    """Removes a constant that nothing reads any more; True if it was removed, False if it is gone already."""
    if value.uses() or value.is_graph_output() or value.is_graph_input() or constant_tensor(value) is None:
        return False
    producer = value.producer()
    if producer is not None and producer.graph is not None:
        producer.graph.remove(producer, safe=True)
    elif producer is None and value.graph is not None:
        del value.graph.initializers[value.name]  # type: ignore[arg-type]
    else:
        return False
    return True
