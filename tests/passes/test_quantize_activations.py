"""Which products become integers, what is rounded for them, what runtimes make of it, and why others stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from nncompress.errors import UsageError
from nncompress.model.activations import rounding_of
from nncompress.model.model import Model, op_name
from nncompress.numerics.rounding import Rounding
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.runtime import child
from tests.models import FLOAT, as_model, context_for, noise, proto_from, proto_of, run
from tests.passes.activations import IMAGE, IMAGES, ROWS, VECTORS, in_integers, kernels_of, said_of, sqnr_db

W, B, V, U = noise(8, 4, 3, 3), noise(8), noise(8, 8, 3, 3, seed=1), noise(8, 8, 1, 1, seed=2)
M, MT, N = noise(16, 8), noise(8, 16), noise(8, 8, seed=1)
IN_INTEGERS = "multiplied in integers"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def pairs(model: Model) -> Iterator[tuple[str, Rounding]]:
    """(the value that is rounded, how) of each pair."""
    for node in model.ir.graph:
        rounding = rounding_of(node.outputs[0])
        if rounding is not None:
            codes = node.inputs[0]
            assert codes is not None
            quantize = codes.producer()
            assert quantize is not None
            yield str(quantize.inputs[0].name), rounding  # type: ignore[union-attr]


STATIC = {
    "chain": (
        IMAGE, "a = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(a) y = Conv(r, v)", {"w": W, "b": B, "v": V},
        ["x", "r", "y"], ["QLinearConv", "QLinearConv"],
    ),
    "clipped": (
        IMAGE, "a = Conv(x, w, b) r = Clip(a, o, h) y = Conv(r, v)",
        {"w": W, "b": B, "v": V, "o": np.zeros((), np.float32), "h": np.array(6, np.float32)},
        ["x", "r", "y"], ["QLinearConv", "QLinearConv"],
    ),
    "shared data": (
        IMAGE, "a = Conv(x, w) c = Conv(a, v) d = Conv<pads=[0,0,0,0]>(a, v2) y = Add(c, d)",
        {"w": W, "v": V, "v2": V[::-1].copy()}, ["x", "a", "c", "d"], ["QLinearConv"] * 3,
    ),
    "pooled": (
        IMAGE,
        "a = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(a) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) "
        "s = Constant<value_ints=[2,128]>() f = Reshape(p, s) y = Gemm(f, m, b)",
        {"w": W, "b": B, "m": noise(128, 8)}, ["x", "r", "f"], ["QLinearConv", "QGemm"],
    ),
    "matrices": (
        ROWS, "a = Gemm<transB=1>(x, m, b) r = Relu(a) y = MatMul(r, n)", {"m": MT, "b": B, "n": N},
        ["x", "r"], ["QGemm", "MatMulIntegerToFloat"],
    ),
    "grouped": (IMAGE, "y = Conv<group=4>(x, w)", {"w": noise(8, 1, 3, 3)}, ["x", "y"], ["QLinearConv"]),
}  # fmt: skip


@pytest.mark.parametrize("name", STATIC)
def test_static_scales(name: str, tmp_path: Path) -> None:
    head, nodes, constants, rounded, kernels = STATIC[name]
    samples = IMAGES if head == IMAGE else VECTORS
    proto = proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **constants)
    compressed = in_integers(proto, samples, tmp_path, calibrate="minmax")
    found = [name for name, _ in pairs(compressed.model)]
    assert len(found) == len(rounded)
    assert set(found) >= set(rounded) - {"y"}  # where it is an output, what is rounded gives its name away
    assert [op for op in kernels_of(compressed, tmp_path) if op in {*kernels, "Conv", "Gemm", "MatMul"}] == kernels
    (before,), (after,) = run(proto, **samples[0]), run(compressed.model, **samples[0])
    assert before.shape == after.shape
    assert sqnr_db(before, after) > 30


def test_what_is_moved_keeps_its_scale(tmp_path: Path) -> None:
    head, nodes, constants, *_ = STATIC["pooled"]
    proto = proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **constants)
    found = dict(pairs(in_integers(proto, IMAGES, tmp_path).model))
    assert found["f"] == found["r"] != found["x"]


def test_an_output_that_is_rounded_keeps_its_name(tmp_path: Path) -> None:
    body = f"g ({IMAGE}) => (float[2,8,6,6] a, float[] y) {{ a = Conv(x, w, b) c = Conv(a, v) y = Sigmoid(c) }}"
    proto = proto_of(body, w=W, b=B, v=V)
    compressed = in_integers(proto, IMAGES, tmp_path)
    assert [out.name for out in compressed.model.ir.graph.outputs] == ["a", "y"]
    for before, after in zip(run(proto, **IMAGES[0]), run(compressed.model, **IMAGES[0]), strict=True):
        assert sqnr_db(before, after) > 20
    assert len(list(pairs(compressed.model))) == 3


def test_a_rounded_model_is_not_rounded_again(tmp_path: Path) -> None:
    proto = proto_of(f"g ({IMAGE}) => (float[] y) {{ a = Conv(x, w, b) r = Relu(a) y = Conv(r, v) }}", w=W, b=B, v=V)
    once = in_integers(proto, IMAGES, tmp_path)
    again = in_integers(proto_from(once.model), IMAGES, tmp_path)
    assert list(pairs(again.model)) == list(pairs(once.model))
    for one, other in zip(run(once.model, **IMAGES[0]), run(again.model, **IMAGES[0]), strict=True):
        assert np.array_equal(one, other)


DYNAMIC = "multiplied in integers, with scales computed at every inference"


@pytest.mark.parametrize("gemm", ["a = Gemm(x, m, b)", "a = MatMul(x, m)"])
def test_dynamic_scales(gemm: str, tmp_path: Path) -> None:
    proto = proto_of(
        f"g ({ROWS}) => (float[] y) {{ {gemm} r = Relu(a) c = MatMul(r, n) d = MatMul(r, k) y = Add(c, d) }}",
        **{"m": M, "n": N, "k": N.T.copy()} | ({"b": B} if "b" in gemm else {}),
    )
    compressed = in_integers(proto, VECTORS, tmp_path, activations="dynamic")
    assert {said_of(compressed, name) for name in "mnk"} == {DYNAMIC}
    assert [op_name(node) for node in compressed.model.ir.graph].count("DynamicQuantizeLinear") == 2
    kernels = kernels_of(compressed, tmp_path)
    assert {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"} & set(kernels)
    assert not {"MatMulInteger", "MatMul", "Gemm"} & set(kernels)
    (before,), (after,) = run(proto, **VECTORS[0]), run(compressed.model, **VECTORS[0])
    assert sqnr_db(before, after) > 30


def test_some_weights_dynamic_others_static_others_not_at_all(tmp_path: Path) -> None:
    body = f"g ({ROWS}) => (float[] y) {{ a = MatMul(x, m) r = Relu(a) c = MatMul(r, n) s = Relu(c) y = MatMul(s, k) }}"
    proto = proto_of(body, m=M, n=N, k=N.T.copy())
    compressed = in_integers(proto, VECTORS, tmp_path, dynamic=("n",), exclude=("k",))
    assert said_of(compressed, "m").startswith(f"{IN_INTEGERS}, data of")
    assert said_of(compressed, "n") == DYNAMIC
    assert said_of(compressed, "k") == "excluded"
    only = in_integers(proto, VECTORS, tmp_path / "only", include=("k",))
    assert [name for name, _ in pairs(only.model)] == ["s"]
    with pytest.raises(UsageError, match="nothing"):
        in_integers(proto, VECTORS, tmp_path / "none", dynamic=("nothing",))


def test_nothing_is_rounded_where_that_is_asked_for(tmp_path: Path) -> None:
    proto = proto_of(f"g ({ROWS}) => (float[] y) {{ y = MatMul(x, m) }}", m=M)
    compressed = in_integers(proto, VECTORS, tmp_path, activations="float")
    assert said_of(compressed, "m") == "activations stay floating point"
    assert not list(pairs(compressed.model))


STAYS = {
    "its bias is no constant": (ROWS, "c = Relu(b) y = Gemm(x, w, c)", {"w": M, "b": B}),
    "its bias differs by row": (ROWS, "y = Gemm(x, w, b)", {"w": M, "b": noise(3, 8)}),
    "its bias differs by row ": (ROWS, "y = Gemm(x, w, b)", {"w": M, "b": noise(3, 1)}),
    "its bias is not finite": (ROWS, "y = Gemm(x, w, b)", {"w": M, "b": np.full(8, np.inf, np.float32)}),
    "something else reads it as well": (ROWS, "h = ReduceSum<keepdims=0>(w) a = MatMul(x, w) y = Add(a, h)", {"w": M}),
    "it is read transposed and as it is": (
        ROWS, "a = Gemm(x, w, b) r = Relu(a) y = Gemm<transB=1>(r, w, c)", {"w": M, "b": B, "c": noise(16)},
    ),
    "integer kernels are for": (ROWS, "y = Gemm<alpha=0.5>(x, w, b)", {"w": M, "b": B}),
    "integer kernels are for ": (IMAGE, "y = ConvTranspose(x, w)", {"w": noise(4, 8, 3, 3)}),
    "calibration does not go there": (
        ROWS, "c = Constant<value = bool {1}>() y = If (c) <then_branch = t () => (float[] p) { p = MatMul(x, w) }, "
        "else_branch = e () => (float[] q) { q = Neg(x) }>", {"w": M},
    ),
    "h: nothing but zeros was seen": (ROWS, "h = Sub(x, x) y = MatMul(h, w)", {"w": M}),
    "h: it is the same for all inputs": (
        ROWS, "h = Sin(k) a = MatMul(h, w) y = Add(a, x)", {"w": noise(8, 16), "k": noise(3, 8)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", STAYS)
def test_what_stays_says_why(reason: str, tmp_path: Path) -> None:
    head, nodes, constants = STAYS[reason]
    proto = proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **constants)
    samples = IMAGES if head == IMAGE else VECTORS
    compressed = in_integers(proto, samples, tmp_path)
    assert reason.strip() in said_of(compressed, "w")
    assert not list(pairs(compressed.model))


@pytest.mark.parametrize("bias", [noise(8), noise(1, 8), noise(1), noise(1).reshape(()), noise(1, 1)])
@pytest.mark.parametrize("activations", ["static", "dynamic"])
def test_a_bias_of_any_shape_that_fits(bias: np.ndarray, activations: str, tmp_path: Path) -> None:
    proto = proto_of(f"g ({ROWS}) => (float[] y) {{ y = Gemm(x, w, b) }}", w=M, b=bias)
    compressed = in_integers(proto, VECTORS, tmp_path, activations=activations)
    assert said_of(compressed, "w").startswith(IN_INTEGERS)
    (before,), (after,) = run(proto, **VECTORS[0]), run(compressed.model, **VECTORS[0])
    assert sqnr_db(before, after) > 30


def test_a_bias_that_a_caller_may_change_stays(tmp_path: Path) -> None:
    proto = proto_of(f"g ({ROWS}) => (float[] y) {{ y = Gemm(x, w, b) }}", w=M, b=B)
    proto.graph.input.append(helper.make_tensor_value_info("b", FLOAT, [8]))
    compressed = in_integers(proto, VECTORS, tmp_path)
    assert said_of(compressed, "w") == "its bias is no constant"


def test_mixed_and_missing_data_are_refused() -> None:
    model = as_model(proto_of(f"g ({ROWS}) => (float[] y) {{ y = MatMul(x, w) }}", w=M))
    with pytest.raises(UsageError, match="mixed is chosen by running files"):
        QuantizeActivations(activations="mixed").apply(model, context_for(model))
    with pytest.raises(UsageError, match="needs calibration data"):
        QuantizeActivations(min_size=1).apply(model, context_for(model))
    with pytest.raises(UsageError, match="percentile must be above 50"):
        QuantizeActivations(percentile=3)


def test_old_files_are_refused_by_their_opset() -> None:
    assert QuantizeActivations().needed_opset("dequantize")[0] == 13
    assert QuantizeActivations(activations="dynamic").needed_opset("integer")[0] == 11


# ------------------------------------------------------------------------------------------------ random graphs
STEPS = [
    "Conv<pads=[1,1,1,1]>({v}, k3)", "Conv({v}, k1, b4)", "Conv<group=2, pads=[1,1,1,1]>({v}, kg, b4)", "Relu({v})",
    "Clip({v}, low, high)", "MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>({v})", "Transpose<perm=[0,1,3,2]>({v})",
    "Add({v}, {u})", "Mul({v}, half)", "Concat<axis=0>({v}, {u})", "Sigmoid({v})", "MatMul({v}, m8)", "Identity({v})",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_run_and_stay_close(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    every = {
        "k3": noise(4, 4, 3, 3) / 6, "k1": noise(4, 4, 1, 1) / 2, "kg": noise(4, 2, 3, 3) / 4, "b4": noise(4, seed=1),
        "m8": noise(8, 8) / 3, "half": np.float32(0.5), "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    values, nodes, outputs = ["x"], [], []
    rows = {"x": 2}
    for place in range(int(rng.integers(3, 9))):
        step = str(rng.choice(STEPS))
        value = str(rng.choice(values[-3:]))
        other = str(rng.choice([name for name in values if rows[name] == rows[value]]))
        made = f"v{place}"
        nodes.append(f"{made} = {step.format(v=value, u=other)}")
        rows[made] = rows[value] * (2 if "Concat" in step else 1)
        values.append(made)
        if rng.random() < 0.3:
            outputs.append(f"float[] {made}")
    body = f"g ({IMAGE}) => ({', '.join([*outputs, 'float[] y'])}) {{ {' '.join(nodes)} y = Conv({values[-1]}, k3) }}"
    read = {name: np.asarray(each) for name, each in every.items() if f"{name})" in body or f"{name}," in body}
    proto = proto_of(body, **read)
    activations = ("static", "dynamic")[seed % 2]
    small = in_integers(proto, IMAGES, tmp_path, activations=activations, calibrate="minmax")
    assert [out.name for out in small.model.ir.graph.outputs] == [out.name for out in proto.graph.output]
    for before, after in zip(run(proto, **IMAGES[0]), run(small.model, **IMAGES[0]), strict=True):
        assert before.shape == after.shape
        assert sqnr_db(before, after) > 20
