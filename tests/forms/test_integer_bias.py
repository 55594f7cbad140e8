"""Biases as integers: the scale is that of both factors, and no code comes near the end of 32 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.model.model import Model
from nncompress.runtime import child
from nncompress.workflow.pipeline import Compressed
from tests.models import noise, proto_of, run
from tests.passes.activations import IMAGE, IMAGES, ROWS, VECTORS, in_integers

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
