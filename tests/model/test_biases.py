"""Biases: which constants are taken for one, and what quantizing makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.biases import find_biases
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import model_of, noise, proto_from

BODY = (
    "g (float[2,64] x) => (float[2,256] y) { a = Gemm(x, w, b) r = Relu(a) c = Add(r, d) e = Mul(c, s) y = Add(e, s) }"
)
CONSTANTS = {"w": noise(64, 256), "b": noise(256), "d": noise(256, seed=2), "s": noise(256, seed=3)}


def test_a_bias_is_only_added() -> None:
    assert [bias.name for bias in find_biases(model_of(BODY, **CONSTANTS))] == ["b", "d"]


@pytest.mark.parametrize(
    ("options", "form", "halved"),
    [
        ({}, "folded", {"b", "d"}),
        ({"biases": "keep"}, "folded", set()),
        ({}, "dequantize", set()),
    ],
)
def test_biases_become_float16_unless_that_is_not_wanted(
    options: dict[str, object], form: str, halved: set[str]
) -> None:
    compressed = compress_graph(model_of(BODY, **CONSTANTS), [QuantizeWeights(**options)], form=form)  # type: ignore[arg-type]
    lines = {line.name: line for line in compressed.lines}
    assert {name for name in ("b", "d", "s") if name in lines and lines[name].form == "cast"} == halved
    assert all(lines[name].bytes_after == 512 for name in halved)


def test_a_bias_that_float16_cannot_hold_stays() -> None:
    large = noise(256) * np.float32(1e6)
    compressed = compress_graph(model_of(BODY, **CONSTANTS | {"b": large}), [QuantizeWeights()])
    assert "b" not in {line.name for line in compressed.lines}


def test_nodes_of_forms_have_no_names() -> None:
    nodes = proto_from(compress_graph(model_of(BODY, **CONSTANTS), [QuantizeWeights()]).model).graph.node
    assert not any(node.name for node in nodes)
