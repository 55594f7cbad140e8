"""Short names: the same computation, the same names for callers, unique names within, and nothing for debugging."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

import nncompress
from nncompress.model.short_names import strip
from nncompress.passes.quantize_weights import QuantizeWeights
from tests.models import as_model, noise, proto_from, proto_of, run

BODY = """
g (float[2,8] a, bool c) => (float[2,8] out, float[2,8] b) {
    encoder_output = MatMul(a, encoder_weight)
    out = If (c) <
        then_branch = g1 () => (float[2,8] then_result) { inner_value = Mul(encoder_output, then_scale)  then_result = local.f(inner_value) },
        else_branch = g2 () => (float[2,8] else_result) { else_result = MatMul(encoder_output, encoder_weight) }
    >
    b = Relu(encoder_output)
}
<domain: "local", opset_import: ["" : 17]>
f (long_input) => (long_output) { long_between = Neg(long_input) long_output = Abs(long_between) }
"""  # noqa: E501


def model() -> onnx.ModelProto:
    proto = proto_of(BODY, encoder_weight=noise(8, 8), then_scale=noise(8))
    for number, node in enumerate(proto.graph.node):
        node.name, node.doc_string = f"/encoder/layer.{number}/op", "written by an exporter"
    return proto


def names_in(graph: onnx.GraphProto) -> list[str]:
    """Of all values that come to be in it and below."""
    own = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    below = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return own + [name for one in below for name in names_in(one)]


def test_only_names_that_callers_know_stay() -> None:
    before, short = as_model(model()), as_model(model())
    strip(short)
    proto = proto_from(short)
    onnx.checker.check_model(proto, full_check=True)
    for condition in (True, False):
        feed = {"a": noise(2, 8, seed=1), "c": np.array(condition)}
        assert all(map(np.array_equal, run(before, **feed), run(short, **feed)))
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["a", "c", "out", "b"]
    inner = [name for name in names_in(proto.graph) if name not in ("out", "b")]
    assert len(inner) == len(set(inner)) == 6
    assert all(len(name) == 1 and name not in "abc" for name in inner)
    assert not any(node.name or node.doc_string for node in proto.graph.node)
    assert "long_between" in [name for node in proto.functions[0].node for name in node.output]


def test_a_result_is_smaller_by_its_names(tmp_path: Path) -> None:
    proto = proto_of(
        "g (float[2,64] a) => (float[2,64] b) { a_long_name_of_it = MatMul(a, w) b = Relu(a_long_name_of_it) }",
        w=noise(64, 64),
    )
    sizes = {}
    for short in (False, True):
        made = nncompress.compress(as_model(proto), [QuantizeWeights()], strip=short)
        assert next(iter(made.ledger)).name == "w"
        nncompress.save(made, tmp_path / f"{short}.onnx")
        sizes[short] = (tmp_path / f"{short}.onnx").stat().st_size
    assert sizes[False] - sizes[True] >= 2 * (len("a_long_name_of_it") - 1)
    assert np.array_equal(*(run(tmp_path / f"{short}.onnx", a=noise(2, 64))[0] for short in sizes))
