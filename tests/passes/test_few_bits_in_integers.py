"""Weights of fewer than eight bits in products of integers: unpacked at load, and multiplied by the same kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.results.record import Rewritten
from nncompress.runtime import child
from tests.models import noise, proto_from, proto_of, run
from tests.passes.activations import EIGHT_BITS, IMAGE, IMAGES, ROWS, VECTORS, in_integers, kernels_of, sqnr_db

FLOATS = {"Conv", "Gemm", "MatMul", "LSTM"}
CASES = {
    "convolutions, static": (
        IMAGE, "a = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(a) y = Conv(r, v)",
        {"w": noise(16, 4, 3, 3), "b": noise(16), "v": noise(8, 16, 3, 3, seed=1)}, "static", "QLinearConv",
    ),
    "matrices, static": (
        ROWS, "a = Gemm<transB=1>(x, m, b) r = Relu(a) y = MatMul(r, n)",
        {"m": noise(24, 16), "b": noise(24), "n": noise(24, 9, seed=1)}, "static", "QGemm",
    ),
    "matrices, dynamic": (
        ROWS, "a = Gemm<transB=1>(x, m, b) r = Relu(a) y = MatMul(r, n)",
        {"m": noise(24, 16), "b": noise(24), "n": noise(24, 9, seed=1)}, "dynamic", "DynamicQuantizeMatMul",
    ),
}  # fmt: skip
LARGE = {"w": (16, 1, 1, 1), "v": (1, 16, 1, 1), "m": (16, 1), "n": (16, 1), "b": (16,)}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def codes_in(path: Path) -> list[np.ndarray]:
    """What kernels of integers read, after onnxruntime has computed it at load."""
    tensors = onnx.load(path).graph.initializer
    return [
        onnx.numpy_helper.to_array(each) for each in tensors if each.data_type == onnx.TensorProto.INT8 and each.dims
    ]


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("name", CASES)
def test_the_kernels_are_those_of_eight_bits(name: str, bits: int, tmp_path: Path) -> None:
    head, nodes, constants, activations, kernel = CASES[name]
    samples = IMAGES if head == IMAGE else VECTORS
    proto = proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **constants)
    weights = replace(EIGHT_BITS, bits=bits, symmetric=True, equalise=False, scales="float32", method="rtn")
    few = in_integers(proto, samples, tmp_path, weights=weights, activations=activations)
    folded = in_integers(proto, samples, tmp_path, weights=weights, activations="float")
    kernels = kernels_of(few, tmp_path)
    assert kernel in kernels
    assert not FLOATS & set(kernels)
    codes = [each for each in codes_in(tmp_path / "optimised.onnx") if each.size > 100]
    assert len(codes) == 2
    assert all(np.abs(each.astype(int)).max() <= 2 ** (bits - 1) for each in codes)
    (exact,), (rounded,) = run(folded.model, **samples[0]), run(few.model, **samples[0])
    assert sqnr_db(exact, rounded) > 28  # activations of 8 bits


@pytest.mark.parametrize("name", CASES)
def test_they_are_as_small_as_their_bits(name: str, tmp_path: Path) -> None:
    head, nodes, constants, activations, kernel = CASES[name]
    samples = IMAGES if head == IMAGE else VECTORS
    large = constants | {key: np.tile(constants[key], tiles) for key, tiles in LARGE.items() if key in constants}
    proto = proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **large)
    count = sum(each.size for each in large.values() if each.ndim > 1)

    def made(**options: object) -> tuple[int, list[str]]:
        weights = replace(EIGHT_BITS, **options)  # type: ignore[arg-type]
        small = in_integers(proto, samples, tmp_path, weights=weights, activations=activations)
        assert kernel in kernels_of(small, tmp_path)
        forms = [str(line.form) for line in small.lines if line.kind == "weight"]
        return sum(len(each.raw_data) for each in proto_from(small.model).graph.initializer), forms

    eight, _ = made(bits=8)
    four, forms = made(bits=4)
    assert 0.4 * count < eight - four < 0.5 * count
    assert {form.split(", ")[1] for form in forms} == {"bitpacked"}
    zeros, forms = made(bits=4, sparsity=0.8)
    assert zeros < four - 0.1 * count
    assert {form.split(", ")[1] for form in forms} <= {"sparse-mask", "sparse-gaps"}


def test_form_dequantize_keeps_the_integers_that_other_runtimes_read(tmp_path: Path) -> None:
    head, nodes, constants, *_ = CASES["matrices, static"]
    proto = proto_of(f"g ({head}) => (float[] y) {{ {nodes} }}", **constants)
    weights = replace(EIGHT_BITS, bits=4, sparsity=0.5)
    small = in_integers(proto, VECTORS, tmp_path, weights=weights, form="dequantize")
    lines = [line for line in small.lines if line.kind == "weight"]
    assert {line.form for line in lines} == {"dequantize"}
    said = [
        o.detail for line in lines for o in line.outcomes if o.by == "quantize-weights" and isinstance(o, Rewritten)
    ]
    assert all("int8" in detail and "products in integers have 8 bits" in detail for detail in said)
    assert len(said) == 2


def test_bytes_are_counted_as_they_are_written(tmp_path: Path) -> None:
    """With zero points, and with channels whose scale grows so far for the bias that their codes become zero: what is
    left for other constants is the same as with eight bits."""
    dead = noise(64, 128) * np.where(np.arange(128) % 2, 1, 1e-11).astype(np.float32)
    bodies = {
        "y = MatMul(x, m)": {"m": noise(64, 128)}, "y = Gemm(x, m, b)": {"m": dead, "b": noise(128, seed=1) + 2},
    }  # fmt: skip
    samples = [{"x": noise(3, 64, seed=seed)} for seed in range(3)]
    for body, constants in bodies.items():
        proto = proto_of(f"g (float[3,64] x) => (float[] y) {{ {body} }}", **constants)
        others = set()
        for symmetric in (True, False):
            for options in ({"bits": 8}, {"bits": 4}, {"bits": 4, "sparsity": 0.8}, {"bits": 8, "sparsity": 0.8}):
                weights = replace(EIGHT_BITS, symmetric=symmetric, **options)  # type: ignore[arg-type]
                lines = in_integers(proto, samples, tmp_path, weights=weights).lines
                (weight,) = (line for line in lines if line.kind == "weight")
                assert "dequantize" in weight.form
                if not symmetric or "sparsity" in options:
                    assert ("sparse" in weight.form) == symmetric
                others.add(next((line.bytes_after for line in lines if line.kind == "constants"), 0))
        assert len(others) == 1, body


def test_what_is_said_of_a_weight_in_integers(tmp_path: Path) -> None:
    """Of those that make up next to nothing it has eight bits; and no blocks."""
    nodes = "a = MatMul(x, m) r = Relu(a) c = MatMul(r, k) y = MatMul(c, n)"
    constants = {"m": noise(16, 512), "k": noise(512, 32) / 9, "n": noise(32, 4, seed=1)}
    proto = proto_of(f"g ({ROWS}) => (float[] y) {{ {nodes} }}", **constants)
    small = in_integers(proto, VECTORS, tmp_path, weights=replace(EIGHT_BITS, bits=4, block=4))
    said = {line.name: " ".join(o.detail for o in line.outcomes if isinstance(o, Rewritten)) for line in small.lines}
    assert "4 bits, symmetric, per channel (axis 1) (products in integers have no blocks)" in said["m"]
    assert "int8" in said["n"]
    assert "one of the smallest" in said["n"]
