"""Who reads a value: what may be rewired has one reader, and no caller sees it."""

from __future__ import annotations

import onnx_ir as ir


def only_reader(value: ir.Value) -> ir.Node | None:
    """The node that alone reads the value, once; None for an output of the graph."""
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def is_read_once(value: ir.Value) -> bool:
    """True if there is such a node."""
    return only_reader(value) is not None
