"""Which weights are multiplied together, and which kernels belong to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.model.model import Model
from nncompress.model.units import find_units, microseconds_by_unit
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.runtime import child
from nncompress.runtime.kernels import measure_kernels
from nncompress.workflow.pipeline import compress_graph
from tests.calibrate.samples import samples_of
from tests.models import file_of, model_of, noise
from tests.support import IMAGES, SAMPLES

CHAIN = """g (float[3,8] x) => (float[3,8] y) {
    a = MatMul(x, w1) r = Relu(a) s = Sigmoid(r) b = MatMul(s, w2) c = Add(b, bias) y = Tanh(c) }"""


def chain() -> Model:
    return model_of(CHAIN, w1=noise(8, 8), w2=noise(8, 8), bias=noise(8))


def taken(model: Model, kernels: list[tuple[str, float]], ran: Model | None = None) -> dict[str, float]:
    """Microseconds by the first weight of each unit."""
    units = find_units(model)
    by_unit = microseconds_by_unit(kernels, units, ran or model)
    assert set(by_unit) == set(units)
    return {unit.weights[0]: by_unit[unit] for unit in units}


def test_each_weight_that_is_multiplied_is_one() -> None:
    first, second = find_units(chain())
    assert (first.weights, second.weights) == (("w1",), ("w2",))
    assert first.results == {"a", "r", "s", "b"}  # up to four in a row, of which a runtime may make one kernel
    assert second.results == {"b", "c", "y"}


def test_weights_of_one_node_are_one() -> None:
    body = """g (float[5,1,4] x) => (float[] y) { y, h, c = LSTM<hidden_size=3>(x, w, r) }"""
    (unit,) = find_units(model_of(body, w=noise(1, 12, 4), r=noise(1, 12, 3)))
    assert unit.weights == ("w", "r")


def test_readers_that_overlap_are_one() -> None:
    body = """g (float[3,8] x) => (float[] y) {
        a = MatMul(x, u) b = MatMul(x, v) c = MatMul(u, v) d = MatMul(x, w)
        e = Add(a, b) f = Add(c, d) y = Concat<axis=0>(e, f) }"""
    units = find_units(model_of(body, u=noise(8, 8), v=noise(8, 8), w=noise(8, 8)))
    assert [set(unit.weights) for unit in units] == [{"u", "v"}, {"w"}]


def test_sums_and_factors_are_none() -> None:
    body = "g (float[3,8] x) => (float[] y) { a = Add(x, u) y = Mul(a, v) }"
    assert find_units(model_of(body, u=noise(3, 8), v=noise(3, 8))) == []


@pytest.mark.parametrize(
    ("kernels", "first", "second"),
    [
        ([("a", 3.0), ("r", 1.0), ("s", 1.0), ("b", 5.0), ("y", 2.0)], 5.0, 7.0),
        ([("a", 3.0), ("fused r", 1.0), ("b_token_7", 5.0)], 4.0, 5.0),
        ([("a_nchwc", 3.0), ("b/duplicated", 5.0), ("b/MatMulAddFusion", 2.0)], 3.0, 7.0),
        ([("a", 3.0), ("ReorderOutput", 1.0), ("b_token_1_nchwc", 5.0), ("ReorderInput", 2.0)], 4.0, 7.0),
        ([("nobody knows", 9.0), ("a", 3.0)], 3.0, 0.0),  # nothing ran before it
        ([], 0.0, 0.0),
    ],
)
def test_kernels_belong_to_what_they_are_called_by(
    kernels: list[tuple[str, float]], first: float, second: float
) -> None:
    assert taken(chain(), kernels) == {"w1": first, "w2": second}


def test_what_a_form_adds_counts_with_what_it_is_added_for() -> None:
    ran = model_of(
        """g (float[3,8] x) => (float[3,8] y) {
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) k = DequantizeLinear(codes, s)
        a = MatMul(d, k) r = Relu(a) s1 = Sigmoid(r) b = MatMul(s1, w2) c = Add(b, bias) y = Tanh(c)
        v = Abs(y) t = Neg(v) }""",
        s=noise(1)[0].reshape(()), z=noise(1)[0].reshape(()).astype("uint8"), codes=noise(8, 8).astype("int8"),
        w2=noise(8, 8), bias=noise(8),
    )  # fmt: skip
    kernels = [("q", 1.0), ("k", 2.0), ("a", 4.0), ("s1", 8.0), ("b", 16.0), ("v", 32.0), ("t", 64.0)]
    assert taken(chain(), kernels, ran) == {"w1": 7.0, "w2": 120.0}


def test_every_kernel_of_a_real_run_finds_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model in floating point, and of one in integers."""
    monkeypatch.setattr(child, "_in_process", True)
    original = load(SAMPLES / "digits_cnn.onnx")
    units = find_units(original)
    with np.load(IMAGES) as arrays:
        feed = {"image": arrays["image"][:64]}
    samples = samples_of(tmp_path / "samples", original, [feed])
    passes: list[Pass] = [QuantizeActivations(), QuantizeWeights()]
    in_integers = compress_graph(original, passes, samples=samples).model
    for name, model in (("float", original), ("integers", in_integers)):
        for node in model.ir.graph:
            node.name = node.outputs[0].name
        kernels = measure_kernels(file_of(model, tmp_path / f"{name}.onnx"), feed, 1, 0)
        by_unit = microseconds_by_unit([(k.name, k.microseconds) for k in kernels], units, model)
        assert sum(by_unit.values()) == pytest.approx(sum(kernel.microseconds for kernel in kernels))
        assert all(by_unit.values())
