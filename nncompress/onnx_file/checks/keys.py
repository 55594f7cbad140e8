"""Checks that keys which have to be distinct are: of metadata, and of the place of external data.

Readers differ in whether the first or the last of two entries counts. Two that say the same are harmless, and written
by well-known tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx

from nncompress.errors import InputError
from nncompress.onnx_file.walk import all_graphs, all_tensors

_Entries = Iterable[onnx.StringStringEntryProto]


def check_keys(proto: onnx.ModelProto) -> None:
    """Raises InputError for the first key that one list of entries gives two values."""
    tensors = list(all_tensors(proto))
    for holders in _with_metadata(proto, tensors):
        for holder in [holder for holder in holders if len(holder.metadata_props) > 1]:
            name = f" {holder.name!r}" if getattr(holder, "name", "") else ""
            _refuse_two_values(f"the metadata of the {_kind(holder)}{name}", holder.metadata_props)
    for tensor in tensors:
        _refuse_two_values(f"tensor {tensor.name!r}: the place of its external data", tensor.external_data)


def _refuse_two_values(what: str, entries: _Entries) -> None:
    values: dict[str, str] = {}
    for entry in entries:
        if values.setdefault(entry.key, entry.value) != entry.value:
            raise InputError(f"{what} has two values for {entry.key!r}")


def _with_metadata(proto: onnx.ModelProto, tensors: Iterable[onnx.TensorProto]) -> Iterator[Iterable[Any]]:
    yield [proto]
    for function in proto.functions:
        yield from ([function], function.node, function.value_info)
    for graph in all_graphs(proto):
        yield from ([graph], graph.node, graph.input, graph.output, graph.value_info)
    yield tensors


def _kind(holder: Any) -> str:
    kinds = {"ModelProto": "model", "ValueInfoProto": "value"}
    name = str(holder.DESCRIPTOR.name)
    return kinds.get(name, name.removesuffix("Proto").lower())
