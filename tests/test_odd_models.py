"""Models with little, nothing or nonsense in them: a valid result with the same outputs, or one line saying why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.models import noise, proto_of, run, saved, session
from tests.support import files_in, nncompress, one_line

COMMANDS: dict[str, tuple[str, ...]] = {
    "quantize": ("quantize", "--even-if-larger"),
    "asymmetric": ("quantize", "--dtype", "uint8", "--asymmetric", "--form", "dequantize"),
    "prune": ("prune", "--sparsity", "0.2"),
    "all": ("run", "-p", "factorize:ratio=0.9", "-p", "prune-magnitude:sparsity=0.2", "-p", "quantize-weights"),
}
NOTHING, EXACT = (
    "it has no weights that are stored as floats",
    "holds infinite values or NaN, which stay exact",
)
LARGE = noise(64, 64).clip(-3, 3)


def filled(number: float, *shape: int) -> np.ndarray:
    return np.full(shape, number, np.float32)


def broken(number: float) -> np.ndarray:
    """A weight with this one value in it."""
    weight = noise(64, 64, seed=1)
    weight[7, 9] = number
    return weight


def product(**weights: np.ndarray) -> onnx.ModelProto:
    """x [N, 64] times each weight."""
    nodes = " ".join(f"y_{name} = MatMul(x, {name})" for name in weights)
    outputs = ", ".join(f"float[{','.join('N?'[: array.ndim])}] y_{name}" for name, array in weights.items())
    return proto_of(f"g (float[N,64] x) => ({outputs}) {{ {nodes} }}", **weights)


def with_strings() -> onnx.ModelProto:
    proto = proto_of(
        "g (float[N,64] x) => (float[N,64] y, string[2] z) { y = MatMul(x, w) z = Gather(s, i) }", w=LARGE,
        i=np.array([1, 0]),
    )  # fmt: skip
    proto.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [3], [b"a", b"", "é".encode()]))
    return proto


MODELS: dict[str, onnx.ModelProto] = {
    "an empty weight": product(w=LARGE, e=np.zeros((64, 0), np.float32)),
    "an empty table": proto_of(
        "g (float[N,64] x, int64[0] i) => (float[N,64] y, float[0,4] z) { y = MatMul(x, w) z = Gather(e, i) }",
        w=LARGE, e=np.zeros((0, 4), np.float32),
    ),
    "a scalar factor": proto_of(
        "g (float[N,64] x) => (float[N,64] y) { t = Mul(w, s) y = MatMul(x, t) }", w=LARGE, s=np.array(2, np.float32)
    ),
    "a vector": product(v=noise(64), w=LARGE),
    "strings": with_strings(),
    "NaN": product(w=LARGE, v=broken(np.nan)),
    "infinity": product(w=LARGE, v=broken(-np.inf)),
    "zeros": product(w=LARGE, v=np.zeros((64, 64), np.float32)),
    "huge values": product(w=LARGE / 8 * np.float32(1e38)),
    "denormal values": product(w=LARGE, v=LARGE * np.float32(1e-42)),
    "one value": product(w=filled(0.37, 64, 64)),
}  # fmt: skip
REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "integers only": (
        proto_of("g (int64[N,4] x) => (int64[N,400] y) { y = MatMul(x, w) }", w=np.ones((4, 400), np.int64)), NOTHING
    ),
    "a table of integers": (
        proto_of("g (int64[N] x) => (int64[N,400] y) { y = Gather(w, x) }", w=np.ones((400, 400), np.int64)), NOTHING
    ),
    "no weights": (proto_of("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }"), NOTHING),
    "a bias only": (proto_of("g (float[N,400] x) => (float[N,400] y) { y = Add(x, b) }", b=noise(400)), NOTHING),
    "NaN only": (product(w=filled(np.nan, 64, 64)), EXACT),
    "infinity only": (product(w=filled(np.inf, 64, 64)), EXACT),
    "values beyond float32": (
        proto_of("g (double[N,64] x) => (double[N,64] y) { y = MatMul(x, w) }", w=1e300 * np.eye(64)),
        "holds values beyond the range of float32",
    ),
    "an overridable weight": (
        proto_of("g (float[N,64] x, float[64,64] w) => (float[N,64] y) { y = MatMul(x, w) }", w=LARGE),
        "it is also an input of the graph (--freeze-inputs makes it a constant)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", MODELS)
def test_an_odd_model_becomes_a_valid_one_that_is_finite_where_it_was(tmp_path: Path, name: str, command: str) -> None:
    path, out = saved(MODELS[name], tmp_path / "m.onnx"), tmp_path / "o.onnx"
    ended = nncompress(*COMMANDS[command], path, "-o", out, "--no-validate", "-q")
    if ended.exit_code == 4:  # one value everywhere, or full rank: nothing to drop
        assert "nothing was compressed" in one_line(ended.stderr)
        assert files_in(tmp_path) == {"m.onnx"}
        return
    assert (ended.exit_code, ended.stderr) == (0, "")
    onnx.checker.check_model(str(out), full_check=True)
    feed = {"x": noise(3, 64)} | ({"i": np.zeros(0, np.int64)} if name == "an empty table" else {})
    # without onnxruntime's integer arithmetic on what is dequantized, which overflows where the sums are finite
    for before, after in zip(run(path, **feed), session(out, exact=True).run(None, feed), strict=True):
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        if before.dtype == np.float32:
            assert np.array_equal(np.isfinite(before), np.isfinite(after))
        else:
            assert np.array_equal(before, after)


@pytest.mark.parametrize("command", ["quantize", "prune"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_model_in_which_nothing_can_be_compressed_is_one_line(tmp_path: Path, name: str, command: str) -> None:
    proto, reason = REFUSED[name]
    path = saved(proto, tmp_path / "m.onnx")
    ended = nncompress(*COMMANDS[command], path, "-o", tmp_path / "o.onnx", "--no-validate")
    assert (ended.exit_code, ended.stdout) == (4, "")
    said = one_line(ended.stderr)
    assert said.startswith("nncompress: error: nothing was compressed: ")
    assert reason in said
    assert files_in(tmp_path) == {"m.onnx"}
    assert path.read_bytes() == proto.SerializeToString(deterministic=True)


@pytest.mark.parametrize("given", ["y", "x"])
def test_an_output_that_is_listed_twice_is_refused(tmp_path: Path, given: str) -> None:
    proto = product(w=LARGE)
    twice = proto.graph.output[0] if given == "y" else proto.graph.input[0]
    proto.graph.output.extend([twice, twice] if given == "x" else [twice])
    ended = nncompress("quantize", saved(proto, tmp_path / "m.onnx"), "-o", tmp_path / "o.onnx", "--seconds", 0, "-q")
    assert ended.exit_code == 3
    assert f"has two outputs called '{twice.name}'" in one_line(ended.stderr)
