"""slim-channels: half of the channels repeat the other half, and go without moving outputs, whatever lies between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.model.channel_search import find_channel_groups
from nncompress.passes.base import Pass
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.slim_channels import SlimChannels
from nncompress.results.record import Rewritten, Skipped
from nncompress.runtime import child
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.calibrate.samples import samples_of
from tests.models import as_model, constants_of, noise, proto_from, proto_of, run

HALF = SlimChannels(share=0.5, multiple=1)
IMAGE, ROWS, STEPS = "float[N,4,8,8] x", "float[N,16] x", "float[N,9,4] x"
FLAT = "f = Flatten(c) y = Gemm<transB=1>(f, v)"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def twice(*shape: int, seed: int = 0, axis: int = 0) -> np.ndarray:
    """Half as many different slices along the axis, each of them twice."""
    half = list(shape)
    half[axis] //= 2
    array = noise(*half, seed=seed) / 3
    return np.concatenate([array, array], axis=axis)


def conv(outputs: int, inputs: int, k: int, seed: int) -> np.ndarray:
    return twice(outputs, inputs, k, k, seed=seed)


def gates(count: int, *rest: int, seed: int, directions: int = 1, units: int = 12) -> np.ndarray:
    """Weights of recurrent nodes, whose second half of units repeats the first, gate by gate."""
    shape = (directions, count, units, *rest)
    return twice(*shape, seed=seed, axis=2).reshape(directions, count * units, *rest)


V = noise(5, 12, 3, 3, seed=9) / 5
CASES: dict[str, tuple[str, dict[str, np.ndarray]]] = {
    "Gemm": (
        f"g ({ROWS}) => (float[N,5] y) {{ a = Gemm<transB=1>(x, w, b) r = Relu(a) y = Gemm(r, v) }}",
        {"w": twice(12, 16), "b": twice(12, seed=1), "v": noise(12, 5, seed=2)},
    ),
    "MatMul": (
        f"g ({ROWS}) => (float[N,5] y) {{ m = MatMul(x, w) a = Add(b, m) s = Sigmoid(a) t = Mul(a, s) "
        "y = MatMul(t, v) }",
        {"w": twice(16, 12, axis=1), "b": twice(12, seed=1), "v": noise(12, 5, seed=2)},
    ),
    "convolutions": (
        f"g ({IMAGE}) => (float[N,5,2,2] y) {{ a = Conv<pads=[1,1,1,1]>(x, w, b) r = LeakyRelu(a) "
        "m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) y = Conv(m, v) }",
        {"w": conv(12, 4, 3, 1), "b": twice(12, seed=2), "v": V},
    ),
    "normalised, on its own, and squeezed and excited": (
        f"g ({IMAGE}) => (float[N,5,4,4] y) {{ a = Conv(x, w) n = BatchNormalization(a, s, b, m, q) h = HardSwish(n) "
        "d = Conv<group=12, pads=[1,1,1,1]>(h, e, b) p = GlobalAveragePool(d) f = Conv(p, k) r = Relu(f) "
        "u = Conv(r, l) g = HardSigmoid(u) t = Mul(d, g) y = Conv(t, v) }",
        {
            "w": conv(12, 4, 3, 1), "s": twice(12, seed=2), "b": twice(12, seed=3), "m": twice(12, seed=4),
            "q": twice(12, seed=5) ** 2, "e": conv(12, 1, 3, 6), "k": twice(4, 12, 1, 1, seed=7),
            "l": conv(12, 4, 1, 8), "v": V,
        },
    ),
    "residual": (
        f"g ({IMAGE}) => (float[N,5,6,6] y) {{ a = Conv<pads=[1,1,1,1]>(x, w) r = Relu(a) "
        "c = Conv<pads=[1,1,1,1]>(r, u) s = Add(a, c) t = Tanh(s) y = Conv(t, v) }",
        {"w": conv(12, 4, 3, 1), "u": conv(12, 12, 3, 2) / 3, "v": V},
    ),
    "flattened": (
        f"g ({IMAGE}) => (float[N,5] y) {{ a = Conv(x, w) c = Relu(a) {FLAT} }}",
        {"w": conv(12, 4, 5, 1), "v": noise(5, 192, seed=2)},
    ),
    "reshaped": (
        f"g ({IMAGE}) => (float[N,5] y) {{ a = Conv(x, w) c = Relu(a) f = Reshape(c, z) y = Gemm<transB=1>(f, v) }}",
        {"w": conv(12, 4, 5, 1), "v": noise(5, 192, seed=2), "z": np.array([-1, 192])},
    ),
    "averaged": (
        f"g ({IMAGE}) => (float[N,5] y) {{ a = Conv(x, w) c = Relu(a) f = ReduceMean<axes=[2,3], keepdims=0>(c) "
        "y = MatMul(f, v) }",
        {"w": conv(12, 4, 5, 1), "v": noise(12, 5, seed=2)},
    ),
    "LSTM both ways": (
        f"g ({STEPS}) => (float[N,5] y) {{ n = Shape(x) b = Gather(n, zero) u = Unsqueeze(b, zeros) "
        "s = Concat<axis=0>(two, u, twelve) h = ConstantOfShape(s) t = Transpose<perm=[1,0,2]>(x) "
        'l = LSTM<hidden_size=12, direction="bidirectional">(t, w, r, q, , h, h) p = Transpose<perm=[0,2,1,3]>(l) '
        "f = Reshape(p, z) e = Transpose<perm=[1,0,2]>(f) c = Gather<axis=1>(e, last) y = Gemm<transB=1>(c, v) }",
        {
            "w": gates(4, 4, seed=1, directions=2), "r": gates(4, 12, seed=2, directions=2),
            "q": gates(8, seed=3, directions=2), "v": noise(5, 24, seed=4), "z": np.array([0, 0, -1]),
            "zero": np.array(0), "zeros": np.array([0]), "two": np.array([2]), "twelve": np.array([12]),
            "last": np.array(-1),
        },
    ),
    "GRU and RNN in a row": (
        f"g ({STEPS}) => (float[9,N,5] y) {{ t = Transpose<perm=[1,0,2]>(x) "
        "l = GRU<hidden_size=12, linear_before_reset=1>(t, w, r, q) s = Squeeze(l, one) "
        "k = RNN<hidden_size=12>(s, i, j) u = Squeeze(k, one) y = MatMul(u, v) }",
        {
            "w": gates(3, 4, seed=1), "r": gates(3, 12, seed=2), "q": gates(6, seed=3), "i": gates(1, 12, seed=5),
            "j": gates(1, 12, seed=6), "v": noise(12, 5, seed=4), "one": np.array([1]),
        },
    ),
    "the last state of an LSTM": (
        f"g ({STEPS}) => (float[N,5] y) {{ t = Transpose<perm=[1,0,2]>(x) "
        "a, l = LSTM<hidden_size=12>(t, w, r, q) s = Squeeze(l, zeros) y = Gemm<transB=1>(s, v) }",
        {
            "w": gates(4, 4, seed=1), "r": gates(4, 12, seed=2), "q": gates(8, seed=3), "v": noise(5, 12, seed=4),
            "zeros": np.array([0]),
        },
    ),
    "channels last": (
        f"g ({IMAGE}) => (float[N,8,8,5] y) {{ a = Conv<pads=[1,1,1,1]>(x, w) t = Transpose<perm=[0,2,3,1]>(a) "
        "c = Relu(t) y = MatMul(c, v) }",
        {"w": conv(12, 4, 3, 1), "v": noise(12, 5, seed=2)},
    ),
}  # fmt: skip


def feeds_of(body: str, count: int = 6, first: int = 0) -> list[dict[str, np.ndarray]]:
    shape = {IMAGE: (64, 4, 8, 8), ROWS: (64, 16), STEPS: (64, 9, 4)}[body[3 : body.index(")")]]
    return [{"x": noise(*shape, seed=100 + first + seed)} for seed in range(count)]


def slimmed(proto: onnx.ModelProto, body: str, folder: Path, *passes: Pass) -> Compressed:
    model = as_model(proto)
    return compress_graph(model, passes or [HALF], samples=samples_of(folder / "samples", model, feeds_of(body)))


def error(proto: onnx.ModelProto, made: Compressed, body: str) -> float:
    """Relative, on samples that nothing was fitted to."""
    (feed,) = feeds_of(body, 1, first=50)
    before, after = run(proto, **feed)[0], run(made.model, **feed)[0]
    assert before.shape == after.shape
    return float(np.linalg.norm(before - after) / np.linalg.norm(before))


@pytest.mark.parametrize("case", CASES)
def test_what_is_there_twice_goes(case: str, tmp_path: Path) -> None:
    body, constants = CASES[case]
    proto = proto_of(body, **constants)
    made = slimmed(proto, body, tmp_path)
    result = proto_from(made.model)
    onnx.checker.check_model(result, full_check=True)
    after = constants_of(result)
    left = {len(after[name]) for name in ("b", "e", "u", "l") if name in after}
    assert left <= {6}
    assert after["v"].size == constants["v"].size / 2
    many = case in ("flattened", "reshaped")  # inputs, whose products are drawn to their diagonal with few samples
    assert error(proto, made, body) < (0.06 if many else 0.02)
    assert all(isinstance(outcome, Rewritten) for outcome in made.outcomes if outcome.subject in ("w", "v"))


@pytest.mark.parametrize("case", ["Gemm", "convolutions", "residual", "flattened"])
def test_what_stays_is_quantized_and_its_biases_corrected_as_ever(case: str, tmp_path: Path) -> None:
    body, constants = CASES[case]
    proto = proto_of(body, **constants)
    passes = (HALF, QuantizeActivations(min_size=1), QuantizeWeights(min_size=1, method="gptq"), CorrectBiases())
    made = slimmed(proto, body, tmp_path, *passes)
    assert error(proto, made, body) < 0.06
    assert {o.by for o in made.outcomes if isinstance(o, Rewritten)} >= {step.name for step in passes[:3]}


def test_a_share_goes_also_where_there_are_no_samples() -> None:
    body, constants = CASES["Gemm"]
    proto = proto_of(body, **(constants | {"w": constants["w"] * np.linspace(0.01, 1, 12, dtype=np.float32)[:, None]}))
    made = compress_graph(as_model(proto), [SlimChannels(share=0.25, multiple=1)])
    said = {o.subject: o.detail for o in made.outcomes if isinstance(o, Rewritten)}
    assert said["v"] == "9 of 12 inputs stay, chosen by weights alone"  # what is lost nobody knows
    after = constants_of(proto_from(made.model))
    assert after["w"].shape == (9, 16)
    assert np.abs(after["w"]).max(axis=1).min() > 0.1  # the smallest are gone
    assert error(proto, made, body) < 0.5


@pytest.mark.parametrize(
    "rest",
    [
        "s = Softmax(a) y = Gemm(s, v)",  # sums over channels
        "r = Relu(a) z = Identity(a) y = Gemm(r, v)",  # with z handed out, see below
        "s = Slice(a, i, j, k) y = Gemm(s, v)",
        "t = Concat<axis=1>(a, a) y = MatMul(t, v)",
        "q = Gemm(a, v) r = LayerNormalization(a, b) y = Add(q, r)",
        "y = Gemm(a, v, a)",
        "y = Gemm<transA=1>(a, v)",
    ],
)  # fmt: skip
def test_channels_that_something_else_reads_stay(rest: str) -> None:
    outputs = "float y, float z" if " z " in rest else "float y"
    body = f"g ({ROWS}) => ({outputs}) {{ a = Gemm<transB=1>(x, w, b) {rest} }}"
    index = {"i": np.array([0]), "j": np.array([6]), "k": np.array([1])}
    model = as_model(proto_of(body, w=twice(12, 16), b=twice(12), v=noise(12, 5), **index))
    assert find_channel_groups(model) == []


def test_groups_of_which_a_weight_is_excluded_stay(tmp_path: Path) -> None:
    body, constants = CASES["Gemm"]
    made = slimmed(proto_of(body, **constants), body, tmp_path, SlimChannels(energy=0.999, exclude=("v",)))
    assert not made.changed
    reasons = {o.subject: o.reason for o in made.outcomes if isinstance(o, Skipped)}
    assert reasons["v"] == "excluded"
    assert "cannot do with fewer" in reasons["w"]


CHANNELS_STAY = {
    "a row that becomes several": (
        "float[N,4,6,6] x", "a = Conv(x, w) r = Reshape(a, s) y = Gemm(r, v)",
        {"w": conv(12, 4, 3, 1), "s": np.array([-1, 12]), "v": noise(12, 5)},
    ),
    "several that become one": (
        "float[2,4,6,6] x", "a = Conv(x, w) r = Reshape(a, s) y = MatMul(r, v)",
        {"w": conv(12, 4, 3, 1), "s": np.array([1, 384]), "v": noise(384, 5)},
    ),
    "a sum with what constants compute": (
        ROWS, "a = Gemm<transB=1>(x, w) q = Relu(c) s = Add(a, q) y = MatMul(s, v)",
        {"w": twice(12, 16), "c": noise(12), "v": noise(12, 5)},
    ),
    "a mean over channels of a value of more axes": (
        "float[1,16] x, float[3,6,16] z", "a = Gemm(x, w) c = MatMul(z, u) s = Add(a, c) m = ReduceMean<axes=[2]>(s) "
        "d = Sub(s, m) y = MatMul(d, v)",
        {"w": twice(16, 12, axis=1), "u": noise(16, 12), "v": noise(12, 5)},
    ),
    "a second result that is handed out": (
        "float[N,4,8,8] x", "a = Conv(x, w) m, z = MaxPool<kernel_shape=[2,2]>(a) y = Conv(m, v)",
        {"w": conv(12, 4, 3, 1), "v": V},
    ),
    "no channels at all": (ROWS, "a = MatMul(x, w) y = MatMul(a, v)", {"w": noise(16, 0), "v": noise(0, 5)}),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANNELS_STAY)
def test_channels_stay_in(case: str) -> None:
    inputs, body, constants = CHANNELS_STAY[case]
    outputs = "float y, int64 z" if " z = " in body else "float y"
    assert find_channel_groups(as_model(proto_of(f"g ({inputs}) => ({outputs}) {{ {body} }}", **constants))) == []


def test_a_product_that_reads_and_makes_the_same_channels_loses_both() -> None:
    body = f"g ({ROWS}) => (float[N,5] y) {{ a = MatMul(x, w) p = MatMul(a, u) q = Add(a, p) y = MatMul(q, v) }}"
    proto = proto_of(body, w=noise(16, 12), u=noise(12, 12, seed=1), v=noise(12, 5, seed=2))
    made = compress_graph(as_model(proto), [SlimChannels(share=0.5, multiple=1)])
    assert constants_of(proto_from(made.model))["u"].shape == (6, 6)
    onnx.checker.check_model(proto_from(made.model), full_check=True)


@pytest.mark.parametrize("scale", [1e-25, 1e25, 0.0])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_channels_of_extreme_values_leave_no_nan(scale: float, shift: float, tmp_path: Path) -> None:
    body, constants = CASES["Gemm"]
    w, b = constants["w"].copy(), constants["b"].copy()
    w[:5] *= np.float32(scale)
    b[0] = shift
    proto = proto_of(body, **(constants | {"w": w, "b": b}))
    (feed,) = feeds_of(body, 1, first=50)
    for passes in ([HALF], [SlimChannels(energy=0.98, multiple=1)]):
        for made in (slimmed(proto, body, tmp_path, *passes), compress_graph(as_model(proto), passes)):
            assert np.isfinite(run(made.model, **feed)[0]).all() or not np.isfinite(run(proto, **feed)[0]).all()
