"""Keys that have to be distinct: two entries that differ are refused, two that say the same are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest

from nncompress.errors import InputError
from nncompress.onnx_file.checks.keys import check_keys
from tests.models import noise, proto_of

HOLDERS: dict[str, Callable[[onnx.ModelProto], Any]] = {
    "model": lambda p: p,
    "graph 'g'": lambda p: p.graph,
    "node 'n'": lambda p: p.graph.node[0],
    "value 'x'": lambda p: p.graph.input[0],
    "tensor 'w'": lambda p: p.graph.initializer[0],
    "function 'f'": lambda p: p.functions[0],
}


def model() -> onnx.ModelProto:
    proto = proto_of(
        'g (float[1] x) => (float[1] y) { t = Add(x, w) y = local.f (t) } <domain: "local", opset_import: ["" : 17]> '
        "f (a) => (b) { b = Neg(a) }",
        w=noise(1),
    )
    proto.graph.node[0].name = "n"
    return proto


@pytest.mark.parametrize("holder", HOLDERS)
def test_metadata_with_two_values_for_a_key_are_refused(holder: str) -> None:
    proto = model()
    entries = HOLDERS[holder](proto).metadata_props
    entries.add(key="k", value="1")
    entries.add(key="k", value="1")
    check_keys(proto)
    entries[1].value = "2"
    with pytest.raises(InputError, match=f"the metadata of the {holder} has two values for 'k'"):
        check_keys(proto)


def test_external_data_in_two_places_are_refused() -> None:
    proto = model()
    entries = proto.graph.initializer[0].external_data
    entries.add(key="location", value="a.bin")
    entries.add(key="location", value="a.bin")
    check_keys(proto)
    entries[1].value = "b.bin"
    with pytest.raises(InputError, match="tensor 'w': the place of its external data has two values for 'location'"):
        check_keys(proto)
