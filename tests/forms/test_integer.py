"""Integer products: what DynamicQuantizeLinear and MatMulInteger are defined to compute, for every shape of reader."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nncompress.model.model import op_name
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.models import as_model, noise, proto_from, proto_of, run

INTEGER = QuantizeWeights(min_size=1, only_if_smaller=False)
BODIES = {
    "MatMul": ("y = MatMul(x, w)", {"w": noise(24, 40)}),
    "Gemm": ("y = Gemm(x, w, b)", {"w": noise(24, 40), "b": noise(40)}),
    "Gemm without bias": ("y = Gemm(x, w)", {"w": noise(24, 40)}),
    "turned Gemm": ("y = Gemm<transB=1>(x, w, b)", {"w": noise(40, 24), "b": noise(1, 40)}),
}


def compressed(proto: onnx.ModelProto, pass_: QuantizeWeights = INTEGER) -> Compressed:
    return compress_graph(as_model(proto), [pass_], form="integer")


def rounded(x: np.ndarray) -> np.ndarray:
    """What 8 bits keep of x: the definition of DynamicQuantizeLinear."""
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    scale = np.float32((np.float32(high) - np.float32(low)) / 255)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return ((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float64)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_the_product_is_that_of_what_eight_bits_keep_of_both(name: str, per: str) -> None:
    nodes, constants = BODIES[name]
    shape = "3,5,24" if name == "MatMul" else "5,24"
    proto = proto_of(f"g (float[{shape}] x) => (float[] y) {{ {nodes} }}", **constants)
    small = compressed(proto, QuantizeWeights(min_size=1, granularity=per, only_if_smaller=False))
    assert [line.form for line in small.lines if line.name == "w"] == ["integer"]
    assert not {"MatMul", "Gemm"} & {op_name(node) for node in small.model.ir.graph}
    x = noise(*map(int, shape.split(",")), seed=3)
    (found,) = run(small.model, x=x)
    values = {init.name: onnx.numpy_helper.to_array(init) for init in proto.graph.initializer}
    matrix = values["w"].T if "transB" in nodes else values["w"]
    exact = x.astype(np.float64) @ matrix + values.get("b", 0)
    steps = np.abs(matrix).max(axis=0) / 127 if per == "channel" else np.abs(matrix).max() / 127
    of_weights = np.abs(rounded(x)).sum(axis=-1, keepdims=True) * steps  # clipping may cost a step more than rounding
    expected = rounded(x) @ matrix + values.get("b", 0)
    assert np.all(np.abs(found - expected) <= of_weights)
    assert 10 * np.log10((exact**2).sum() / ((exact - found) ** 2).sum()) > 35


def test_all_readers_of_a_tensor_share_its_integers() -> None:
    body = """g (float[N,24] x) => (float[N,16] y, float[N,16] z, float[N,16] v) {
        h = Relu(x) y = MatMul(h, q) z = MatMul(h, k) v = MatMul(x, w) }"""
    proto = proto_of(body, q=noise(24, 16), k=noise(24, 16, seed=1), w=noise(24, 16, seed=2))
    small = compressed(proto).model
    ops = [op_name(node) for node in small.ir.graph]
    assert (ops.count("DynamicQuantizeLinear"), ops.count("MatMulInteger")) == (2, 3)
    assert ops.index("DynamicQuantizeLinear") == 0, "x is there first of all"
    x = noise(7, 24, seed=5)
    for before, after in zip(run(proto, x=x), run(small, x=x), strict=True):
        assert 10 * np.log10((before**2).sum() / ((before - after) ** 2).sum()) > 35
    written = proto_from(small)
    onnx.checker.check_model(written, full_check=True)
    assert [output.name for output in written.graph.output] == ["y", "z", "v"]


def test_integers_that_the_model_makes_later_come_first() -> None:
    body = """g (float[N,24] x) => (float[N,16] y, uint8[N,24] q) {
        y = MatMul(x, w) n = Neg(y) q, s, z = DynamicQuantizeLinear(x) }"""
    small = compressed(proto_of(body, w=noise(24, 16))).model
    onnx.checker.check_model(proto_from(small), full_check=True)
    assert [op_name(node) for node in small.ir.graph].count("DynamicQuantizeLinear") == 1


def test_one_weight_of_several_readers_is_stored_once() -> None:
    body = "g (float[N,24] x) => (float[] z) { y = MatMul(x, w) t = Tanh(y) z = MatMul(t, w) }"
    small = compressed(proto_of(body, w=noise(24, 24) / 5))
    ops = [op_name(node) for node in small.model.ir.graph]
    assert (ops.count("DynamicQuantizeLinear"), ops.count("MatMulInteger")) == (2, 2)
    (line,) = (line for line in small.lines if line.name == "w")
    assert line.bytes_after < 24 * 24 + 4 * 24 + 400


@pytest.mark.parametrize(
    ("head", "nodes", "constants", "reason"),
    [
        ("float[N,24] x", "y = Gemm<alpha=0.5>(x, w)", {"w": noise(24, 8)}, "right operand of MatMul and plain Gemm"),
        ("float[24,N] x", "y = Gemm<transA=1>(x, w)", {"w": noise(24, 8)}, "right operand of MatMul and plain Gemm"),
        ("float[24,N] x", "y = MatMul(w, x)", {"w": noise(8, 24)}, "right operand of MatMul and plain Gemm"),
        ("float[N,24] x", "t = Transpose(w) y = MatMul(x, t)", {"w": noise(8, 24)}, "right operand of MatMul"),
        ("float[2,N,24] x", "y = MatMul(x, w)", {"w": noise(2, 24, 8)}, "no matrix that MatMul or Gemm multiplies"),
        ("float[N,8] x", "y = Gemm(x, w) z = Gemm<transB=1>(x, w)", {"w": noise(8, 8)}, "transposed and as it is"),
        ("float[N,4,5,5] x", "y = Conv(x, w)", {"w": noise(8, 4, 3, 3)}, "no matrix that MatMul or Gemm multiplies"),
    ],
)
def test_what_it_cannot_hold_is_folded_and_the_reason_said(
    head: str, nodes: str, constants: dict[str, np.ndarray], reason: str
) -> None:
    small = compressed(proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **constants))
    assert not any(op_name(node) == "MatMulInteger" for node in small.model.ir.graph)
    assert [line.form for line in small.lines if line.name == "w"] == ["folded"]
    assert any(reason in note for note in small.notes), small.notes


def test_inside_a_branch_the_tensor_from_outside_is_rounded_there() -> None:
    body = """g (bool c, float[N,24] x) => (float[] y) {
        h = Relu(x)
        y = If (c) <then_branch = t () => (float[] a) { a = MatMul(h, w) },
                    else_branch = e () => (float[] b) { b = MatMul(h, v) }> }"""
    proto = proto_of(body, w=noise(24, 16), v=noise(24, 16, seed=1))
    small = compressed(proto).model
    x = noise(3, 24, seed=2)
    for condition in (True, False):
        (before,), (after,) = (run(each, c=np.array(condition), x=x) for each in (proto, small))
        assert 10 * np.log10((before**2).sum() / ((before - after) ** 2).sum()) > 35


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("inputs", ["w, r", "w, r, b", "w, r, b, , h, c"])
def test_an_lstm_of_onnxruntime_takes_both_matrices_as_integers(direction: str, inputs: str) -> None:
    count = 2 if direction == "bidirectional" else 1
    head = f"float[6,N,20] x, float[{count},N,16] h, float[{count},N,16] c"
    body = f'y, yh, yc = LSTM<direction="{direction}", hidden_size=16>(x, {inputs})'
    constants = {"w": noise(count, 64, 20) / 4, "r": noise(count, 64, 16, seed=1) / 4} | (
        {"b": noise(count, 128, seed=2) / 4} if "b" in inputs else {}
    )
    proto = proto_of(f"g ({head}) => (float[] y, float[] yh, float[] yc) {{ {body} }}", **constants)
    model = as_model(proto)
    portable = compress_graph(model, [INTEGER], form="integer")
    assert {line.form for line in portable.lines if line.name in ("w", "r")} == {"folded"}
    assert any("--target ort allows it" in note for note in portable.notes)
    small = compress_graph(model, [INTEGER], form="integer", target="ort")
    assert [op_name(node) for node in small.model.ir.graph] == ["DynamicQuantizeLSTM"]
    assert {line.form for line in small.lines if line.name in ("w", "r")} == {"integer"}
    feeds = {"x": noise(6, 3, 20, seed=3), "h": noise(count, 3, 16, seed=4), "c": noise(count, 3, 16, seed=5)}
    for before, after in zip(run(proto, **feeds), run(small.model, **feeds), strict=True):
        assert before.shape == after.shape
        assert 10 * np.log10((before**2).sum() / ((before - after) ** 2).sum()) > 28


@pytest.mark.parametrize("body", [
    "y, yh = LSTM<hidden_size=16, activations=[\"Tanh\", \"Tanh\", \"Tanh\"]>(x, w, r)",
    "y, yh = LSTM<hidden_size=16>(x, w, r, , , , , p)",
    "y, yh = LSTM<hidden_size=16>(x, w, r) z = Relu(w)",
])  # fmt: skip
def test_an_lstm_that_it_cannot_replace_stays(body: str) -> None:
    constants = {"w": noise(1, 64, 20) / 8, "r": noise(1, 64, 16, seed=1) / 8}
    constants |= {"p": noise(1, 48, seed=2)} if ", p)" in body else {}
    proto = proto_of(f"g (float[6,N,20] x) => (float[] y, float[] yh) {{ {body} }}", **constants)
    small = compress_graph(as_model(proto), [INTEGER], form="integer", target="ort")
    ops = [op_name(node) for node in small.model.ir.graph]
    assert ops.count("LSTM") == 1
    assert "DynamicQuantizeLSTM" not in ops
    x = noise(6, 3, 20, seed=3)
    for before, after in zip(run(proto, x=x), run(small.model, x=x), strict=True):
        assert 10 * np.log10((before**2).sum() / ((before - after) ** 2).sum()) > 28
