"""Short names for what nobody outside calls by name: none for nodes, and for all values but inputs and outputs."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator

import onnx_ir as ir

from nncompress.model.edit import rename, root_of
from nncompress.model.metadata import drop_debugging
from nncompress.model.model import Model, Scope

_ANNOTATION = "quant_parameter_tensor_names"  # where onnx-ir keeps what a graph says of a value, by other names
_FIRST, _NEXT = string.ascii_letters, string.ascii_letters + string.digits


def strip(model: Model) -> None:
    """Renames in place, and drops what is written for debugging. Functions keep the names of their own values."""
    drop_debugging(model)
    kept = {value.name for value in (*model.ir.graph.inputs, *model.ir.graph.outputs)}
    taken = model.names()
    fresh = (name for name in _names() if name not in taken)
    for scope in model.scopes():
        if isinstance(root_of(model, scope), ir.Function):
            continue
        for value in _values(scope):
            value.meta.pop(_ANNOTATION, None)
            if value.name and value.name not in kept:
                rename(scope, value, next(fresh))
        for node in scope:
            node.name = None


def _names() -> Iterator[str]:
    """a, b ... Z, aa, ab ..."""
    for length in itertools.count():
        for first, *rest in itertools.product(_FIRST, *[_NEXT] * length):
            yield "".join([first, *rest])


def _values(scope: Scope) -> list[ir.Value]:
    """Those that come to be in it."""
    own = [*scope.inputs, *getattr(scope, "initializers", {}).values()]
    return [*dict.fromkeys(own), *(output for node in scope for output in node.outputs)]
