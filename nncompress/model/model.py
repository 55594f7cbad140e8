"""The model as it travels through a run: its graph, the files that it came from, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from nncompress.errors import InputError
from nncompress.files.opened import OpenFile
from nncompress.model.building import without_collector
from nncompress.results.record import LedgerLine

OLDEST_OPSET = 7  # numpy broadcasting; every form needs it
Scope = ir.Graph | ir.Function
INSIDE = "it lies in a graph inside a node (If, Loop, Scan) or in a function"
"""A reason: what runs or rewires the main graph does not go there."""


@dataclass
class Model:
    """A graph with its origin. Passes change `ir`; everything else is fixed when the model is loaded."""

    ir: ir.Model
    path: Path | None = None
    files: tuple[OpenFile, ...] = ()  # the model file, then its external data files: tensors are read from them
    interface: onnx.ModelProto | None = None  # inputs, outputs and metadata exactly as the file states them
    complaint: str | None = None  # of onnx.checker or strict shape inference about the file
    notes: tuple[str, ...] = ()
    ledger: tuple[LedgerLine, ...] = field(default=())
    unread: Mapping[str, int] = field(
        default_factory=dict
    )  # {type: bytes} of constants left in the file: none reads them

    @property
    def opset(self) -> int:
        """Version of the standard operators in the main graph."""
        return standard_opset(self.ir, 1)

    def clone(self) -> Model:
        """An independent graph that shares the tensors."""
        try:
            with without_collector():
                copy = self.ir.clone()
        except RuntimeError as error:  # onnx-ir's word for a value that nothing defines
            raise InputError(f"its graph cannot be understood: {error.__cause__ or 'a value is undefined'}") from error
        return replace(self, ir=copy)

    def check_in_place(self) -> None:
        """Raises InputError if its files are not those any more that it was loaded from."""
        for file in self.files:
            file.check_in_place()

    def scopes(self) -> Iterator[Scope]:
        """The main graph, every graph inside a node, and the functions with the graphs inside them."""
        roots: list[Scope] = [self.ir.graph, *self.ir.functions.values()]
        for root in roots:
            yield root
            yield from graphs_below(root)

    def names(self) -> set[str]:
        """Every name of a value anywhere: a new one must not be among them."""
        names: set[str] = set()
        for scope in self.scopes():
            names.update(v.name for v in scope.inputs if v.name)
            names.update(getattr(scope, "initializers", ()))
            names.update(out.name for node in scope for out in node.outputs if out.name)
        return names


def standard_opset(holder: ir.Model | ir.Function, default: int) -> int:
    """Version of the standard operators that `holder` imports, whose domain has two names."""
    return holder.opset_imports.get("", holder.opset_imports.get("ai.onnx", default))


def graphs_below(scope: Scope) -> list[ir.Graph]:
    """Every graph inside a node of `scope`, at any depth, each before those inside it.

    As `subgraphs` of onnx-ir, and ten times as fast: nearly all nodes hold none.
    """
    return [graph for _, graph in bodies_below(scope)]


def bodies_below(scope: Scope) -> list[tuple[ir.Node, ir.Graph]]:
    """The same, each with the node that holds it."""
    found = []
    for node in scope:
        for attr in node.attributes.values() if node.attributes else ():
            for graph in graphs_of(attr):
                found += [(node, graph), *bodies_below(graph)]
    return found


def graphs_of(attr: ir.Attr) -> Sequence[ir.Graph]:
    """The graphs that an attribute holds."""
    if attr.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) or attr.is_ref():
        return ()
    return attr.as_graphs() if attr.type == ir.AttributeType.GRAPHS else (attr.as_graph(),)


def attribute_holders(scope: Scope) -> Iterator[ir.Node | ir.Function]:
    """The nodes of a scope, and the function itself, whose attributes may have defaults."""
    if isinstance(scope, ir.Function):
        yield scope
    yield from scope


def op_name(node: ir.Node) -> str:
    """The operator; one of a domain of somebody's own, which may be called like any other, with its domain."""
    known = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
    return node.op_type if node.domain in known else f"{node.domain}.{node.op_type}"
