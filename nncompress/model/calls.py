"""Calls of model-local functions, and the nodes of a function as one call of it sees them.

Inside a function an attribute may refer to one of the call: the same node then means different things to different
callers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from nncompress.model.model import Model, Scope, graphs_below

_DEEPEST = 100  # calls within calls; onnxruntime refuses deeper ones
_MOST_CALLS = 30_000  # that are walked; the rest is not looked into


class NodeLike(Protocol):
    """What is read of a node."""

    @property
    def domain(self) -> str: ...
    @property
    def op_type(self) -> str: ...
    @property
    def inputs(self) -> Sequence[ir.Value | None]: ...
    @property
    def outputs(self) -> Sequence[ir.Value]: ...
    @property
    def attributes(self) -> Mapping[str, ir.Attr]: ...


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a function, by a node that may itself lie in a function that is called."""

    node: ir.Node
    function: ir.Function
    outer: Call | None  # None: the node lies in the main graph, or in a function that nothing calls

    def given(self, name: str) -> ir.Attr | None:
        """The attribute that the call gives under this name, or its default; None: neither."""
        attr = self.node.attributes.get(name)
        if attr is not None and attr.is_ref():
            attr = self.outer.given(attr.ref_attr_name or "") if self.outer is not None else attr
        return attr if attr is not None else self.function.attributes.get(name)


@dataclass(frozen=True)
class _Bound:
    """A node whose references are replaced by what a call gives."""

    node: ir.Node
    attributes: Mapping[str, ir.Attr]

    @property
    def domain(self) -> str:
        return self.node.domain

    @property
    def op_type(self) -> str:
        return self.node.op_type

    @property
    def inputs(self) -> Sequence[ir.Value | None]:
        return self.node.inputs

    @property
    def outputs(self) -> Sequence[ir.Value]:
        return self.node.outputs


def bound(node: ir.Node, call: Call | None) -> NodeLike:
    """The node as `call` sees it. References that nothing resolves stay."""
    if call is None or not any(attr.is_ref() for attr in node.attributes.values()):
        return node
    attributes: dict[str, ir.Attr] = {}
    for name, attr in node.attributes.items():
        resolved = call.given(attr.ref_attr_name or "") if attr.is_ref() else attr
        if resolved is not None:
            attributes[name] = resolved
    return _Bound(node, attributes)


class Calls:
    """Walks a model as a runtime sees it, every function where it is called."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._functions = model.ir.functions
        self._left = _MOST_CALLS

    def function_of(self, node: ir.Node) -> ir.Function | None:
        """The function that the node calls, whatever that is called; None for an operator."""
        return self._functions.get(node.op_identifier())

    def nodes(self) -> Iterator[tuple[ir.Node, Call | None]]:
        """Every node that is no call, with the call by which it is reached; functions that nothing calls come last."""
        self._left = _MOST_CALLS
        seen: set[ir.OperatorIdentifier] = set()
        yield from self._below(self._model.ir.graph, None, 0, seen)
        for function in self._functions.values():
            if function.identifier() not in seen:
                yield from self._below(function, None, 0, seen)

    def _below(
        self, root: Scope, call: Call | None, depth: int, seen: set[ir.OperatorIdentifier]
    ) -> Iterator[tuple[ir.Node, Call | None]]:
        for scope in (root, *graphs_below(root)):
            if not self._functions:
                yield from ((node, call) for node in scope)
                continue
            for node in scope:
                function = self.function_of(node)
                if function is None:
                    yield node, call
                elif depth < _DEEPEST and self._left > 0:
                    self._left -= 1
                    seen.add(function.identifier())
                    yield from self._below(function, Call(node, function, call), depth + 1, seen)
