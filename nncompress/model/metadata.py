"""What exporters write for debugging on nodes and values: stack traces, scopes, documentation. Nothing computes it.

The model's own documentation and metadata, and what is written on its inputs and outputs, are not among it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx_ir as ir

from nncompress.model.model import Model, Scope

_Holder = ir.Node | ir.Value | ir.Graph | ir.Function
_DEBUGGING = re.compile(
    r"pkg\..*|.*(stack.?trace|trace.?back|call.?stack|name.?scope|namespace|class.?hierarchy|fx.?node|debug|origin|"
    r"source.?(code|file|line|loc|name|node)|(file|line).?(name|no|number)|module.?(path|stack|name)).*",
    re.IGNORECASE | re.DOTALL,
)


def debugging_bytes(model: Model) -> int:
    """How many bytes of the file it takes."""
    return sum(_bytes(holder, keys) for holder, keys in _found(model))


def drop_debugging(model: Model) -> None:
    """Takes all of it away, in place."""
    for holder, keys in list(_found(model)):
        holder.doc_string = None
        for key in keys:
            del holder.metadata_props[key]


def _found(model: Model) -> Iterator[tuple[_Holder, list[str]]]:
    """What holds any, with the keys of its metadata that are for debugging."""
    for scope in model.scopes():
        for holder in _holders(scope):
            own = holder is model.ir.graph  # whose metadata are the model's
            keys = [] if own else [key for key in holder.metadata_props if _DEBUGGING.fullmatch(key)]
            if keys or holder.doc_string:
                yield holder, keys


def _holders(scope: Scope) -> Iterator[_Holder]:
    yield scope
    values: list[ir.Value] = list(getattr(scope, "initializers", {}).values())
    for node in scope:
        yield node
        values += node.outputs
    yield from (value for value in values if not (value.is_graph_input() or value.is_graph_output()))


def _bytes(holder: _Holder, keys: list[str]) -> int:
    """As protobuf writes it: each text behind a tag and its length, each entry too."""
    entries = [_field(_text(key) + _text(holder.metadata_props[key])) for key in keys]
    return sum(entries) + (_text(holder.doc_string) if holder.doc_string else 0)


def _text(text: str) -> int:
    return _field(len(text.encode(errors="surrogatepass")))


def _field(length: int) -> int:
    return 1 + max(1, -(-length.bit_length() // 7)) + length
