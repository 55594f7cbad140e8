"""Constant arithmetic in front of a weight: what becomes one weight, with which values, and what is left as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.model.arithmetic import fold_arithmetic
from nncompress.model.weights import find_weights
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.inspect import inspect_file
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, dense_constant, model_of, noise, proto_of, run, saved

W, MASK = noise(16, 16), (noise(16, 16, seed=1) > 0).astype(np.float32)
HEAD = "g (float[2,16] x) => (float[2,16] y)"
EXPRESSIONS = {
    "mask behind": ("w = Mul(v, m)", {"v": W, "m": MASK}),
    "mask before": ("w = Mul(m, v)", {"v": W, "m": MASK}),
    "boolean mask": ("w = Where(m, v, z)", {"v": W, "m": MASK > 0, "z": np.float32(0)}),
    "low-rank update": (
        "p = MatMul(a, b) q = Mul(p, s) w = Add(v, q)",
        {"v": W, "a": noise(16, 2), "b": noise(2, 16), "s": np.float32(0.5)},
    ),
    "weight norm": (
        "n = ReduceL2<axes=[0], keepdims=1>(v) d = Div(v, n) w = Mul(g, d)",
        {"v": W, "g": noise(1, 16)},
    ),
    "exponents": ("e = Exp(v) n = Neg(e) w = Clip(n, low)", {"v": W, "low": np.float32(-3)}),
    "padded": ("w = Pad(v, p)", {"v": noise(14, 16), "p": np.array([1, 0, 1, 0])}),
    "scattered": (
        "w = ScatterND(z, i, u)",
        {"z": np.zeros((16, 16), np.float32), "i": np.arange(32).reshape(16, 2) // 2 % 16, "u": noise(16)},
    ),
    "behind a transpose": ("t = Transpose<perm=[1, 0]>(v) s = Sub(t, c) w = Transpose<perm=[1, 0]>(s)", {
        "v": W, "c": noise(16, 1)
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_of_constants_becomes_one_weight(name: str) -> None:
    nodes, constants = EXPRESSIONS[name]
    proto = proto_of(f"{HEAD} {{ {nodes} y = MatMul(x, w) }}", **constants)
    model, x = as_model(proto), noise(2, 16, seed=3)
    if name == "padded":  # larger than what it replaces
        assert fold_arithmetic(model) == 0
        return
    assert fold_arithmetic(model) == 1
    (weight,) = find_weights(model)
    assert weight.channel_axes in ((1,), (0,))
    (before,), (after,) = run(proto, x=x), run(model, x=x)
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()
    compressed = compress_graph(as_model(proto), [QuantizeWeights()])
    assert sum(line.bytes_after for line in compressed.lines) < 16 * 16 * 2
    everything = sum(array.nbytes for array in map(np.asarray, constants.values()))
    assert sum(line.bytes_before for line in compressed.lines) == everything


def test_the_largest_constant_gives_the_weight_its_name(tmp_path: Path) -> None:
    nodes, constants = EXPRESSIONS["weight norm"]
    proto = proto_of(f"{HEAD} {{ {nodes} y = MatMul(x, w) }}", **constants)
    compressed = compress_graph(as_model(proto), [QuantizeWeights(include=("v",))])
    assert [line.name for line in compressed.lines if line.kind == "weight"] == ["v"]
    found = inspect_file(saved(proto, tmp_path / "m.onnx"))
    assert [weight.name for weight in found.weights] == ["v"]


def test_ones_of_a_mask_are_not_pruned() -> None:
    nodes, constants = EXPRESSIONS["mask before"]
    proto = proto_of(f"{HEAD} {{ {nodes} y = MatMul(x, w) }}", **constants)
    compressed = compress_graph(as_model(proto), [PruneMagnitude(sparsity=0, min_size=1, only_if_smaller=False)])
    for before, after in zip(run(proto, x=noise(2, 16)), run(compressed.model, x=noise(2, 16)), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "nodes",
    [
        "c = Cast<to=1>(q) w = Mul(c, s) y = MatMul(x, w)",  # codes that are decoded
        "w = Mul(v, m) a = MatMul(x, w) b = MatMul(a, v) y = MatMul(b, m)",  # both are needed as they are
        "r = RandomNormalLike(v) w = Add(v, r) y = MatMul(x, w)",
        "w = Mul(v, h) y = MatMul(x, w)",  # h can be overridden
    ],
)
def test_what_would_grow_or_is_not_constant_is_left(nodes: str) -> None:
    constants = {"q": np.ones((16, 16), np.int8), "s": noise(16), "v": W, "m": MASK, "h": noise(16, 16)}
    body = f"g (float[2,16] x, float[16,16] h) => (float[2,16] y) {{ {nodes} }}"
    assert fold_arithmetic(model_of(body, **{k: v for k, v in constants.items() if k in nodes})) == 0


def test_an_expression_inside_a_function_is_computed_there() -> None:
    body = (
        f"{HEAD} {{ y = local.F(x) }} "
        '<domain: "local", opset_import: ["" : 17]> F (a) => (b) { w = Mul(v, m) b = MatMul(a, w) }'
    )
    proto = proto_of(body)
    for name, array in (("m", MASK), ("v", W)):
        proto.functions[0].node.insert(0, dense_constant(name, array))
    model, x = as_model(proto), noise(2, 16, seed=3)
    assert fold_arithmetic(model) == 1
    assert np.allclose(run(proto, x=x)[0], run(model, x=x)[0], atol=1e-5)


def test_a_huge_intermediate_result_is_not_computed() -> None:
    nodes = "b = Expand(v, s) t = Mul(b, b) w = ReduceSum<keepdims=0>(t, a) y = MatMul(x, w)"
    model = model_of(f"{HEAD} {{ {nodes} }}", v=W, s=np.array([1 << 40, 16, 16]), a=np.array([0]))
    assert fold_arithmetic(model) == 0
