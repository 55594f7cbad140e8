"""Small constants in half precision: which are, that results are those of rounded constants, and what keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.forms.store import store
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.models import CONTEXT, model_of, noise, proto_from, run, session

BODY = """g (float[2,64] x) => (float[2,256] y) {
    a = Gemm(x, w, b) r = Relu(a) c = Add(r, d) e = Mul(c, s) n = LayerNormalization(e, g, h) p = Div(n, q)
    y = PRelu(p, k) }"""
CONSTANTS = {name: noise(256, seed=seed) for seed, name in enumerate("bdsghk")} | {"q": 1 + np.abs(noise(256, seed=9))}
W = noise(64, 256)
CHANNELS = 128
NORM = f"""g (float[1,{CHANNELS},5,5] x) => (float[1,{CHANNELS},3,3] y) {{
    c = Conv<group = {CHANNELS}>(x, w) a = Tanh(c) y = BatchNormalization<epsilon = 0.001>(a, s, b, m, v) }}"""
NORMAL = {name: noise(CHANNELS, seed=seed) for seed, name in enumerate("sb")} | {
    "m": noise(CHANNELS, seed=3), "v": 0.5 + np.abs(noise(CHANNELS, seed=4)), "w": noise(CHANNELS, 1, 3, 3),
}  # fmt: skip


def halves(compressed: Compressed) -> set[str]:
    return {line.name for line in compressed.lines if line.form == "cast"}


def quantized(body: str, constants: dict[str, np.ndarray], **options: object) -> Compressed:
    return compress_graph(model_of(body, **constants), [QuantizeWeights(**options)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "form", "names"),
    [
        ({}, "folded", set(CONSTANTS)),
        ({"small_constants": "bfloat16"}, "folded", set(CONSTANTS) - {"q"}),  # 2 ** -8 is 48 dB
        ({"small_constants": "bfloat16", "elementwise_db": 48}, "folded", set(CONSTANTS)),
        ({"small_constants": "keep"}, "folded", set()),
        ({"elementwise_db": 90}, "folded", set()),
        ({}, "dequantize", set()),
    ],
)
def test_small_constants_become_halves_unless_that_is_not_wanted(
    options: dict[str, object], form: str, names: set[str]
) -> None:
    step = QuantizeWeights(**options)  # type: ignore[arg-type]
    compressed = compress_graph(model_of(BODY, w=W, **CONSTANTS), [step], form=form)
    lines = {line.name: line for line in compressed.lines}
    assert halves(compressed) == names
    assert all(lines[name].bytes_after == 512 for name in names)


def test_results_are_those_of_rounded_constants() -> None:
    x = noise(2, 64, seed=20)
    (small,) = run(proto_from(quantized(BODY, CONSTANTS | {"w": W}).model), x=x)
    rounded = {name: array.astype(np.float16).astype(np.float32) for name, array in CONSTANTS.items()}
    (expected,) = run(proto_from(quantized(BODY, rounded | {"w": W}, small_constants="keep").model), x=x)
    np.testing.assert_array_equal(small, expected)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("b", noise(256) * np.float32(1e6)),  # beyond float16
        ("g", noise(256) * np.float32(1e-8)),  # most are zeros in float16
        ("q", np.where(np.arange(256) == 3, np.float32(1e-6), CONSTANTS["q"])),  # 74 dB, and its 1 / q is off by 5 %
        ("q", np.where(np.arange(256) == 3, np.float32(2**-20), CONSTANTS["q"])),  # exact, but zero where flushed
    ],
)
def test_a_constant_that_float16_does_not_hold_stays(name: str, array: np.ndarray) -> None:
    assert halves(quantized(BODY, CONSTANTS | {"w": W, name: array})) == set(CONSTANTS) - {name}


@pytest.mark.parametrize(
    ("name", "array", "stays"),
    [
        ("v", NORMAL["v"], False),
        ("v", np.where(np.arange(CHANNELS) < 9, np.float32(0), NORMAL["v"]), False),
        ("v", np.where(np.arange(CHANNELS) < 9, np.float32(1e-12), NORMAL["v"]), False),  # nothing beside epsilon
        ("v", np.where(np.arange(CHANNELS) < 9, np.float32(5e-5), NORMAL["v"]), True),  # zero for some: 2.5 % less
        ("m", NORMAL["m"] + 30, True),  # 72 dB, and a 30th of that of what is left of the data
    ],
)
def test_a_batch_normalisation_keeps_its_decibels_in_each_channel(name: str, array: np.ndarray, stays: bool) -> None:
    # brute force: what is normalised, with the constant as some runtimes read it
    half = array.astype(np.float16)
    half[np.abs(half) < np.finfo(np.float16).tiny] = 0
    values = {n: (NORMAL | {name: array})[n].astype(np.float64) for n in "mv"}
    data = values["m"] + np.sqrt(values["v"] + 1e-3)  # one standard deviation above the mean
    changed = values | {name: half.astype(np.float64)}
    errors = np.abs((data - changed["m"]) / np.sqrt(changed["v"] + 1e-3) - 1)
    assert bool(errors.max() > 10 ** (-50 / 20)) is stays
    compressed = quantized(NORM, NORMAL | {name: array})
    assert (name not in halves(compressed)) is stays
    assert halves(compressed) >= {"s", "b"}


def test_a_mean_beside_a_variance_that_nobody_knows_stays() -> None:
    body = NORM.replace("s, b, m, v)", "s, b, m, u)").replace("a = Tanh(c)", "a = Tanh(c) u = Exp(v)")
    assert halves(quantized(body, NORMAL)) == {"s", "b"}


def test_onnxruntime_folds_and_fuses_as_before(tmp_path: Path) -> None:
    body = f"""g (float[1,8,9,{CHANNELS}] x) => (float[1,8,9,{CHANNELS}] y) {{
        t = Transpose<perm = [0, 3, 1, 2]>(x) c = Conv<group = {CHANNELS}, pads = [1, 1, 1, 1]>(t, w)
        z = BatchNormalization(c, s, b, m, v) u = Transpose<perm = [0, 2, 3, 1]>(z)
        n = ReduceMean<axes = [-1]>(u) d = Sub(u, n) p = Pow(d, two) e = ReduceMean<axes = [-1]>(p) f = Add(e, tiny)
        h = Sqrt(f) i = Div(d, h) j = Mul(i, g) k = Add(j, o)
        l = Div(k, root) q = Erf(l) r = Add(q, one) a = Mul(k, r) y = Mul(a, half) }}"""
    numbers = {"two": 2, "tiny": 1e-5, "root": np.sqrt(2), "one": 1, "half": 0.5}
    constants = NORMAL | {"g": noise(CHANNELS, seed=7), "o": noise(CHANNELS, seed=8)}
    constants |= {name: np.array(number, np.float32) for name, number in numbers.items()}
    operators = {}
    for kept in ("keep", "float16"):
        model = model_of(body, **constants)  # as it is: preparing would fold the normalisation
        QuantizeWeights(small_constants=kept).apply(model, CONTEXT)  # type: ignore[arg-type]
        stored = {name for name, choice in store(model, CONTEXT.storing).values() if choice.form.name == "cast"}
        assert stored == (set("sbmvgo") if kept == "float16" else set())
        session(model, optimised=tmp_path / f"{kept}.onnx")
        operators[kept] = [node.op_type for node in onnx.load(tmp_path / f"{kept}.onnx").graph.node]
    assert operators["float16"] == operators["keep"]
    assert {"BatchNormalization", "Cast", "Pow"}.isdisjoint(operators["keep"])
    assert "LayerNormalization" in operators["keep"]


def test_bfloat16_needs_an_opset_that_has_it() -> None:
    assert QuantizeWeights(small_constants="bfloat16").needed_opset("folded")[0] == 13
    assert QuantizeWeights(small_constants="bfloat16").needed_opset("integer") == QuantizeWeights().needed_opset(
        "integer"
    )


def test_nodes_of_forms_have_no_names() -> None:
    nodes = proto_from(quantized(BODY, CONSTANTS | {"w": W}).model).graph.node
    assert not any(node.name for node in nodes)
