"""Biases as integers: the scale is that of both factors, and no code comes near the end of 32 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nncompress.model.model import Model
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.runtime import child
from nncompress.runtime.environment import adds_in_16_bits
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_from, proto_of, run
from tests.passes.activations import IMAGE, IMAGES, ROWS, VECTORS, in_integers, sqnr_db

Parameters = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def decoded(model: Model, op: str) -> tuple[float, np.ndarray, Parameters]:
    """(scale of the data, of the weight, (codes, scale) of the bias) of the only node `op`."""
    (node,) = [node for node in model.ir.graph if node.op_type == op]
    read = []
    for value in node.inputs:
        assert value is not None
        producer = value.producer()
        assert producer is not None
        assert producer.op_type == "DequantizeLinear"
        tensors = [
            each.const_value.numpy() if each is not None and each.const_value else None for each in producer.inputs
        ]
        read.append(tensors)
    data, weight, bias = read
    assert bias[0] is not None
    assert not bias[2].any()
    return float(data[1]), weight[1].reshape(-1), (bias[0], bias[1])


def compressed(folder: Path, weight: np.ndarray, bias: np.ndarray, op: str = "Conv") -> Compressed:
    head, samples = (IMAGE, IMAGES) if op == "Conv" else (ROWS, VECTORS)
    proto = proto_of(f"g ({head}) => (float[] y) {{ y = {op}(x, w, b) }}", w=weight, b=bias)
    return in_integers(proto, samples, folder, calibrate="minmax")


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_the_scale_is_that_of_data_times_weight(op: str, tmp_path: Path) -> None:
    weight, bias = noise(*((8, 4, 3, 3) if op == "Conv" else (16, 8))), noise(8, seed=3)
    of_data, of_weight, (codes, scale) = decoded(compressed(tmp_path, weight, bias, op).model, op)
    assert codes.dtype == np.int32
    assert np.array_equal(scale, of_weight * np.float32(of_data))
    assert np.abs(codes * scale.astype(np.float64) - bias).max() <= scale.max() / 2


def test_a_bias_too_large_for_its_channel_makes_its_scale_grow(tmp_path: Path) -> None:
    weight, bias = noise(8, 4, 3, 3), noise(8, seed=3)
    weight[1] *= 1e-12
    bias[1] = 100
    before = decoded(compressed(tmp_path / "small", weight, noise(8, seed=3) * 1e-9).model, "Conv")[1]
    small = compressed(tmp_path, weight, bias)
    _, of_weight, (codes, scale) = decoded(small.model, "Conv")
    assert np.array_equal(np.delete(of_weight, 1), np.delete(before, 1))
    assert of_weight[1] > before[1]
    assert np.abs(codes.astype(np.int64)).max() <= 2**30 * (1 + 1e-6)
    assert np.abs(codes * scale.astype(np.float64) - bias).max() <= scale.max() / 2
    (found,) = run(small.model, **IMAGES[0])
    assert np.abs(found[:, 1] - 100).max() < 1


def test_channels_of_zeros_keep_their_bias(tmp_path: Path) -> None:
    weight, bias = noise(8, 4, 3, 3), noise(8, seed=3)
    weight[[2, 5]] = 0
    bias[2], bias[5] = -3, 0
    small = compressed(tmp_path, weight, bias)
    _, of_weight, (codes, scale) = decoded(small.model, "Conv")
    assert np.isfinite(of_weight).all()
    assert (of_weight > 0).all()
    assert codes[2] * float(scale[2]) == pytest.approx(-3, rel=1e-6)
    assert codes[5] == 0
    (found,) = run(small.model, **IMAGES[0])
    spread = np.ptp(
        run(proto_of(f"g ({IMAGE}) => (float[] y) {{ y = Conv(x, w, b) }}", w=weight, b=bias), **IMAGES[0])[0]
    )
    assert np.abs(found[:, 2] + 3).max() <= spread / 255


def test_readers_of_one_weight_share_scales_that_fit_all_of_their_biases(tmp_path: Path) -> None:
    weight = noise(8, 4, 3, 3)
    weight[1] *= 1e-12
    body = f"g ({IMAGE}) => (float[] y) {{ h = Neg(x) a = Conv(x, w, b) c = Conv(h, w, d) y = Add(a, c) }}"
    bias, other = np.full(8, 1e-3, np.float32), np.full(8, 100, np.float32)
    proto = proto_of(body, w=weight, b=bias, d=other)
    small = in_integers(proto, IMAGES, tmp_path)
    (before,), (after,) = run(proto, **IMAGES[0]), run(small.model, **IMAGES[0])
    assert np.abs(before - after).max() < 0.05 * np.abs(before).max()
    assert np.abs(after[:, 1] - 100).max() < 1


SIGNED_SHIFTED = pytest.param(
    {"symmetric": False}, marks=pytest.mark.skipif(adds_in_16_bits(), reason="codes are moved apart here")
)


@pytest.mark.parametrize("options", [{"dtype": "uint8"}, SIGNED_SHIFTED], ids=str)
def test_codes_with_a_zero_point_are_scaled_around_it(options: dict[str, Any], tmp_path: Path) -> None:
    weight, bias = noise(16, 8) + 1, np.full(8, 1e6, np.float32)
    proto = proto_of(f"g ({ROWS}) => (float[] y) {{ y = Gemm(x, w, b) }}", w=weight, b=bias)
    model = as_model(proto)
    passes = [QuantizeActivations(min_size=1), QuantizeWeights(min_size=1, only_if_smaller=False, **options)]
    small = compress_graph(model, passes, samples=samples_of(tmp_path / "samples", model, VECTORS))
    _, weights, _ = decoded(small.model, "Gemm")
    assert weights.min() > 2 * np.abs(weight).max() / 127
    (node,) = [node for node in small.model.ir.graph if node.op_type == "Gemm"]
    codes, _, zero = (value.const_value.numpy() for value in node.inputs[1].producer().inputs)  # type: ignore
    assert np.abs((codes.astype(np.float64) - zero) * weights - weight).max() <= weights.max()


@pytest.mark.parametrize("opset", [11, 17])
def test_with_one_scale_for_all_channels_the_bias_has_one_as_well(opset: int) -> None:
    body = f"""g ({ROWS}) => (float[3,8] y) {{
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) a = Gemm(d, w, b)
        r = QuantizeLinear(a, s, z) y = DequantizeLinear(r, s, z) }}"""
    constants = {"w": noise(16, 8), "b": noise(8), "s": np.array(0.1, np.float32), "z": np.array(128, np.uint8)}
    proto = proto_of(body, opset=opset, **constants)
    pass_ = QuantizeWeights(min_size=1, only_if_smaller=False, granularity="tensor")
    small = compress_graph(as_model(proto), [pass_], form="dequantize")
    onnx.checker.check_model(proto_from(small.model), full_check=True)
    assert decoded(small.model, "Gemm")[2][1].shape == ()
    (before,), (after,) = run(proto, **VECTORS[0]), run(small.model, **VECTORS[0])
    assert sqnr_db(before, after) > 30


@pytest.mark.parametrize("name", ["reshaped", "transposed, too"])
def test_weights_that_are_not_read_by_channel_alone_are_right(name: str, tmp_path: Path) -> None:
    """onnxruntime takes scales along the other axis for those of the columns."""
    head, nodes, constants = {
        "reshaped": (
            IMAGE, "t = Reshape(w, n) y = Conv(d, t, b)",
            {"w": noise(32, 9), "b": noise(8), "n": np.array([8, 4, 3, 3])},
        ),
        "transposed, too": (
            ROWS, "h = Gemm(d, w, b) k = QuantizeLinear(h, s, z) l = DequantizeLinear(k, s, z) "
            "y = Gemm<transB=1>(l, w, c)",
            {"w": noise(16, 8) * np.exp(noise(16, 8)), "b": noise(8), "c": noise(16)},
        ),
    }[name]  # fmt: skip
    both = {**constants, "s": np.array(0.1, np.float32), "z": np.array(128, np.uint8)}
    pair = "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)"
    proto = proto_of(f"g ({head}) => (float[] y) {{ {pair} {nodes} }}", **both)
    small = compress_graph(
        as_model(proto), [QuantizeWeights(min_size=1, only_if_smaller=False)], form="dequantize"
    ).model
    feed = (IMAGES if head == IMAGE else VECTORS)[0]
    (before,), (after,) = run(proto, **feed), run(small, **feed)
    assert sqnr_db(before, after) > (28 if adds_in_16_bits() else 30)
