"""Inspecting files: figures, weights wherever they are stored, and a prediction that comes true to the byte."""

from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.model.absorb import absorb_scales
from nncompress.model.inventory import quantized_parts, take_inventory
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.store_lossless import StoreLossless
from nncompress.workflow.inspect import inspect_file
from nncompress.workflow.pipeline import compress_graph
from tests.models import model_of, noise, proto_of, saved
from tests.support import SAMPLES

MODELS = ["digits_mlp.onnx", "digits_cnn.onnx", "digits_lstm.onnx", "digits_transformer.onnx"]
LINEAR = "m (float[n, 40] x) => (float[n, 30] y) { y = MatMul(x, w) }"


def quantized(source: Path, target: Path, **options: object) -> Path:
    compressed = compress_graph(load(source), [QuantizeWeights(**options)])  # type: ignore[arg-type]
    write(compressed.model, target)
    return target


@pytest.mark.parametrize("name", MODELS)
def test_the_predicted_size_is_that_of_the_file_that_quantize_writes(name: str, tmp_path: Path) -> None:
    prediction = inspect_file(SAMPLES / name).prediction
    assert prediction is not None
    made = quantized(SAMPLES / name, tmp_path / "out.onnx")
    assert prediction.bytes_after == made.stat().st_size


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_work_stay_the_same_when_weights_are_quantized(name: str, tmp_path: Path) -> None:
    before, folded = inspect_file(SAMPLES / name), load(SAMPLES / name)
    after = inspect_file(quantized(SAMPLES / name, tmp_path / "out.onnx"))
    absorb_scales(folded)
    assert after.parameters == take_inventory(folded).parameters <= before.parameters
    assert after.macs == before.macs
    assert before.macs is not None


@pytest.mark.parametrize("name", MODELS)
def test_bytes_add_up_to_the_file(name: str) -> None:
    found = inspect_file(SAMPLES / name)
    assert found.file_bytes == (SAMPLES / name).stat().st_size
    assert sum(size for _, size in found.bytes_by_dtype) == found.constant_bytes
    assert sum(size for _, size in found.bytes_by_op) == found.constant_bytes
    assert found.constant_bytes + found.graph_bytes == found.file_bytes
    assert sum(weight.size_bytes for weight in found.weights) <= found.constant_bytes


def test_the_lstm_counts_a_free_batch_as_one_sample() -> None:
    """8 steps of 512 x (8 + 128), then 10 x 128."""
    assert inspect_file(SAMPLES / "digits_lstm.onnx").macs == 8 * 512 * (8 + 128) + 10 * 128


def test_work_is_not_known_where_a_size_depends_on_the_input(tmp_path: Path) -> None:
    proto = proto_of("m (float[n, t, 40] x) => (float[n, t, 30] y) { y = MatMul(x, w) }", w=noise(40, 30))
    assert inspect_file(saved(proto, tmp_path / "m.onnx")).macs is None


def test_work_is_not_known_where_it_happens_in_a_nested_graph(tmp_path: Path) -> None:
    body = """m (bool c, float[1, 40] x) => (float[1, 30] y) {
        y = If (c) <then_branch = g () => (float[1, 30] a) { a = MatMul(x, w) },
                    else_branch = h () => (float[1, 30] b) { b = MatMul(x, w) }>
    }"""
    assert inspect_file(saved(proto_of(body, w=noise(40, 30)), tmp_path / "m.onnx")).macs is None


def test_weights_are_listed_largest_first_with_what_is_odd_about_them(tmp_path: Path) -> None:
    w, v = noise(40, 30), noise(30, 10)
    w[0] = 0
    v[0, 0], v[0, 1] = np.inf, np.nan
    body = "m (float[n, 40] x) => (float[n, 10] y) { h = MatMul(x, w) y = MatMul(h, v) }"
    found = inspect_file(saved(proto_of(body, w=w, v=v), tmp_path / "m.onnx"))
    assert [(one.name, one.shape, one.dtype, one.ops) for one in found.weights] == [
        ("w", (40, 30), "float32", ("MatMul",)),
        ("v", (30, 10), "float32", ("MatMul",)),
    ]
    assert [(one.sparsity, one.nonfinite) for one in found.weights] == [(30 / 1200, 0), (0, 2)]
    assert found.prediction is not None
    assert [(group.reason, group.names) for group in found.prediction.left_alone] == [
        ("holds infinite values or NaN, which stay exact", ("v",))
    ]


def test_a_quantized_weight_keeps_its_name_and_its_parts_are_no_weights(tmp_path: Path) -> None:
    source = saved(proto_of(LINEAR, w=noise(40, 30)), tmp_path / "m.onnx")
    found = inspect_file(quantized(source, tmp_path / "out.onnx"))
    assert [(one.name, one.dtype, one.shape, one.size_bytes) for one in found.weights] == [
        ("w", "int8", (40, 30), 1200 + 2 * 30)
    ]
    assert found.weights[0].barrier == "it is stored as integers already"
    assert found.quantized == (("integer weights behind Cast", 1),)
    assert found.prediction is None


def test_codes_of_a_table_are_found_though_they_are_decoded_after_the_lookup(tmp_path: Path) -> None:
    source = saved(proto_of("m (int64[n] i) => (float[n, 32] y) { y = Gather(w, i) }", w=noise(90, 32)), tmp_path / "m")
    found = inspect_file(quantized(source, tmp_path / "out.onnx"))
    assert ("int8", (90, 32), 90 * 32) in [(one.dtype, one.shape, one.size_bytes) for one in found.weights]
    assert found.quantized == (("integer weights behind Cast", 1),)


def test_masks_cast_to_integers_are_not_taken_for_quantized_weights() -> None:
    body = "m (int64[n, 64] x) => (int64[n, 64] y) { m64 = Cast<to = 7>(mask) y = Mul(x, m64) }"
    assert quantized_parts(model_of(body, mask=np.ones(64, np.uint8))) == ()


@pytest.mark.parametrize("options", [{}, {"symmetric": False}, {"dtype": "uint8"}, {"granularity": "tensor"}])
def test_nonzeros_are_counted_around_the_zero_point(options: dict[str, object]) -> None:
    """Half of the weight is zero, and stays so in every kind of codes."""
    w = np.abs(noise(40, 30)) + 1
    w[:, ::2] = 0
    w[:, 1] -= 5  # both signs
    model = model_of(LINEAR, w=w)
    after = compress_graph(model, [QuantizeWeights(**options)]).model  # type: ignore[arg-type]
    before_count, after_count = (take_inventory(one).nonzeros for one in (model, after))
    assert before_count == 600
    assert 590 <= after_count <= 600  # a value close to zero may be rounded to it


def test_the_interface_names_free_dimensions(tmp_path: Path) -> None:
    found = inspect_file(saved(proto_of(LINEAR, w=noise(40, 30)), tmp_path / "m.onnx"))
    assert [(port.name, port.dtype, port.shape) for port in found.inputs] == [("x", "float32", ("n", 40))]
    assert [(port.name, port.dtype, port.shape) for port in found.outputs] == [("y", "float32", ("n", 30))]


def test_external_data_is_part_of_the_size() -> None:
    found = inspect_file(SAMPLES / "digits_wide/model.onnx")
    files = [path for path in (SAMPLES / "digits_wide").iterdir() if path.suffix != ".md"]
    assert found.file_bytes == sum(path.stat().st_size for path in files)
    assert [name for name, _ in found.external_files] == [path.name for path in files if path.name != "model.onnx"]


def test_float_weights_behind_quantize_linear_are_floats_and_their_codes_are_predicted(tmp_path: Path) -> None:
    text = (
        "m (float[n, 40] x) => (float[n, 30] y) { q = QuantizeLinear<axis=1>(w, s, z) "
        "d = DequantizeLinear<axis=1>(q, s, z) y = MatMul(x, d) }"
    )
    scales = {"s": np.full(30, 0.03, np.float32), "z": np.zeros(30, np.int8)}
    found = inspect_file(saved(proto_of(text, w=noise(40, 30), **scales), tmp_path / "m.onnx"))
    assert [(weight.name, weight.dtype, weight.size_bytes) for weight in found.weights] == [("w", "float32", 4800)]
    assert found.prediction is not None
    assert (found.prediction.compressed, found.prediction.left_alone) == (1, ())
    assert found.prediction.bytes_after < found.file_bytes - 3000


def test_what_shrink_stores_counts_as_the_floats_that_it_is(tmp_path: Path) -> None:
    text = (
        "m (float[n, 40] x, int64[k] i) => (float[n, 30] y, int64[k] z) "
        "{ a = MatMul(x, w) y = Add(a, b) z = Gather(t, i) }"
    )
    given = {"w": np.full((40, 30), 0.5, np.float32), "b": np.zeros(30, np.float32), "t": np.arange(400)}
    shrunk = compress_graph(model_of(text, **given), [StoreLossless()]).model
    before, after = take_inventory(model_of(text, **given)), take_inventory(shrunk)
    assert (after.parameters, after.nonzeros) == (before.parameters, before.nonzeros) == (1230, 1200)
    write(shrunk, tmp_path / "m.onnx")
    assert inspect_file(tmp_path / "m.onnx").weights == ()


def test_a_model_without_weights_has_no_prediction(tmp_path: Path) -> None:
    proto = proto_of("m (float[n] x) => (float[n] y) { y = Relu(x) }")
    assert inspect_file(saved(proto, tmp_path / "m.onnx")).prediction is None


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        inspect_file(tmp_path / "nothing.onnx")
