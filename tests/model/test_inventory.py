"""Figures of a model against counts by hand, and the same parameters before and after compressing."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nncompress.model.absorb import absorb_scales
from nncompress.model.constants import find_constants
from nncompress.model.inventory import quantized_parts, take_inventory
from nncompress.onnx_file.facts import file_facts
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, dense_constant, file_of, linear, model_of, noise, proto_of

SAMPLES = sorted((Path(__file__).parents[2] / "sample_models").rglob("*.onnx"))
each_sample = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name + "/" + path.name)


# ------------------------------------------------------------------------------------------------ MACs
@pytest.mark.parametrize(
    ("body", "constants", "macs"),
    [
        ("g (float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }", {"w": (4, 3)}, 2 * 4 * 3),
        ("g (float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", {"w": (4, 3)}, 4 * 3),
        ("g (float[2,5,4] x) => (float[2,5,3] y) { y = MatMul(x, w) }", {"w": (4, 3)}, 2 * 5 * 4 * 3),
        ("g (float[4,2] x) => (float[3,2] y) { y = MatMul(w, x) }", {"w": (3, 4)}, 3 * 4 * 2),
        ("g (float[2,4] x, float[4,6] z) => (float[2,6] y) { y = MatMul(x, z) }", {}, 2 * 4 * 6),
        ("g (float[2,4] x) => (float[2,3] y) { y = Gemm<transB=1>(x, w) }", {"w": (3, 4)}, 2 * 4 * 3),
        ("g (float[4,2] x) => (float[2,3] y) { y = Gemm<transA=1>(x, w) }", {"w": (4, 3)}, 2 * 4 * 3),
        ("g (float[1,3,8,8] x) => (float[1,5,6,6] y) { y = Conv(x, w) }", {"w": (5, 3, 3, 3)}, 5 * 36 * 27),
        ("g (float[N,3,8,8] x) => (float[N,5,6,6] y) { y = Conv(x, w) }", {"w": (5, 3, 3, 3)}, 5 * 36 * 27),
        ("g (float[1,4,8,8] x) => (float[1,4,6,6] y) { y = Conv<group=4>(x, w) }", {"w": (4, 1, 3, 3)}, 4 * 36 * 9),
        ("g (float[1,3,8] x) => (float[1,5,4] y) { y = Conv<strides=[2]>(x, w) }", {"w": (5, 3, 2)}, 5 * 4 * 6),
        ("g (float[1,3,4,4] x) => (float[1,5,5,5] y) { y = ConvTranspose(x, w) }", {"w": (3, 5, 2, 2)}, 48 * 20),
        (
            "g (float[7,1,4] x) => (float[7,1,1,6] y) { y = LSTM<hidden_size=6>(x, w, r) }",
            {"w": (1, 24, 4), "r": (1, 24, 6)},
            7 * (24 * 4 + 24 * 6),
        ),
        ("g (uint8[2,4] x, int8[4,3] w) => (int32[2,3] y) { y = MatMulInteger(x, w) }", {}, 2 * 4 * 3),
        ("g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }", {}, 0),
    ],
)
def test_macs_are_those_counted_by_hand(body: str, constants: dict[str, tuple[int, ...]], macs: int) -> None:
    model = model_of(body, **{name: noise(*shape) for name, shape in constants.items()})
    assert take_inventory(model).macs == macs


def test_macs_are_unknown_where_a_size_is() -> None:
    model = model_of("g (float[N,L,4] x) => (float[N,L,3] y) { y = MatMul(x, w) }", w=noise(4, 3))
    assert take_inventory(model).macs is None


# ------------------------------------------------------------------------------------------------ parameters, bytes
def test_parameters_are_floating_point_constants_that_are_read() -> None:
    body = (
        "g (float[2,4] x) => (float[2,3] y) { a = MatMul(x, w) b = Add(a, c) s = Reshape(b, shape) "
        "i = Identity(s) y = Mul(i, k) }"
    )
    proto = proto_of(body, w=noise(4, 3), c=np.float32([0, 1, 2]), shape=np.array([2, 3]))
    proto.graph.node.insert(0, dense_constant("k", np.float32([5, 0, 7])))
    found = take_inventory(as_model(proto))
    assert found.parameters == 12 + 3 + 3
    assert found.nonzeros == 12 + 2 + 2
    assert found.weight_bytes_loaded == 4 * 18 + 2 * 8
    assert found.constant_bytes == 4 * 18 + 2 * 8
    assert found.nodes == 5  # Constant nodes are none
    assert dict(found.ops) == {"MatMul": 1, "Add": 1, "Reshape": 1, "Identity": 1, "Mul": 1}
    assert dict(found.bytes_by_dtype) == {"float": 72, "int64": 16}
    assert dict(found.bytes_by_op) == {"MatMul": 48, "Add": 12, "Mul": 12, "Reshape": 16}
    assert found.quantized == ()


CHAINS: dict[str, list[Pass]] = {
    "quantize": [QuantizeWeights()],
    "quantize asymmetric": [QuantizeWeights(symmetric=False, dtype="uint8")],
    "quantize per tensor": [QuantizeWeights(granularity="tensor")],
    "prune little": [PruneMagnitude(sparsity=0.3)],
    "prune much": [PruneMagnitude(sparsity=0.95)],
    "prune and quantize": [PruneMagnitude(sparsity=0.8), QuantizeWeights()],
}


@pytest.mark.parametrize(
    ("path", "chain"),
    [pytest.param(path, chain, id=f"{path.parent.name}/{path.name}: {chain}") for path in SAMPLES for chain in CHAINS],
)
def test_parameters_of_a_compressed_file_are_those_of_the_original(tmp_path: Path, path: Path, chain: str) -> None:
    model = load(path)
    compressed = compress_graph(model, CHAINS[chain])
    assert compressed.changed
    absorb_scales(model)
    before, after = take_inventory(model), take_inventory(load(file_of(compressed.model, tmp_path / "o.onnx")))
    assert after.parameters == before.parameters
    assert after.macs == before.macs
    assert after.constant_bytes < before.constant_bytes or chain == "prune little"
    if "prune" in chain:
        assert after.nonzeros < before.nonzeros
    else:
        assert after.nonzeros <= before.parameters


@pytest.mark.parametrize(
    ("sparsity", "quantized"),
    [
        (0.5, False),
        (0.9, False),
        (0.98, False),
        (0.5, True),
        (0.9, True),
        (0.98, True),
    ],
)
def test_nonzeros_of_a_pruned_weight_are_counted_in_every_layout(
    tmp_path: Path, sparsity: float, quantized: bool
) -> None:
    chain: list[Pass] = [PruneMagnitude(sparsity=sparsity), *([QuantizeWeights(range="minmax")] if quantized else [])]
    weight = np.random.default_rng(0).uniform(1, 2, (64, 64)).astype(np.float32)  # none becomes the code 0
    result = compress_graph(linear(weight), chain).model
    assert take_inventory(load(file_of(result, tmp_path / "o"))).nonzeros == 4096 - round(sparsity * 4096)


def test_factors_have_fewer_parameters_and_macs() -> None:
    model = linear(noise(64, 64))
    after = take_inventory(compress_graph(model, [Factorize(rank=4, min_size=64)]).model)
    assert after.parameters == 2 * 64 * 4
    assert after.macs == 2 * 64 * 4
    assert take_inventory(model).macs == 64 * 64


def test_loaded_bytes_of_a_table_are_its_codes_and_of_a_matrix_floats(tmp_path: Path) -> None:
    body = "g (int64[N] i) => (float[N,32] y) { e = Gather(t, i) y = MatMul(e, w) }"
    model = model_of(body, t=noise(100, 32), w=noise(32, 32))
    result = load(file_of(compress_graph(model, [QuantizeWeights(equalise=False)]).model, tmp_path / "o.onnx"))
    found = take_inventory(result)
    assert found.weight_bytes_loaded == 100 * 32 + 100 * 4 + 32 * 32 * 4


@pytest.mark.parametrize("symmetric", [True, False])
def test_scales_and_zero_points_that_are_integers_themselves_are_no_weights(tmp_path: Path, symmetric: bool) -> None:
    body = "g (int64[N] i) => (float[N,300] y) { e = Gather(t, i) y = MatMul(e, w) }"
    table, matrix = np.random.default_rng(0).uniform(-1, 1, (2, 300, 64)).astype(np.float32)  # much the same ranges
    model = model_of(body, t=table, w=np.ascontiguousarray(matrix.T))
    step = QuantizeWeights(symmetric=symmetric, granularity="channel")
    result = load(file_of(compress_graph(model, [step]).model, tmp_path / "o.onnx"))
    stored = [tensor.shape for _, tensor, _ in find_constants(result) if tensor.dtype.bitwidth == 8]
    assert len(stored) == (4 if symmetric else 6), "so that whole multiples of one number do for scales"
    assert dict(quantized_parts(result)) == {"integer weights behind Cast": 2}
    assert take_inventory(result).parameters == 2 * 300 * 64


# ------------------------------------------------------------------------------------------------ quantized, facts
def test_what_is_quantized_already_is_named(tmp_path: Path) -> None:
    model = linear(noise(64, 64))
    assert quantized_parts(model) == ()
    folded = compress_graph(model, [QuantizeWeights()]).model
    assert dict(quantized_parts(folded)) == {"integer weights behind Cast": 1}
    standard = compress_graph(model, [QuantizeWeights()], form="dequantize").model
    assert dict(quantized_parts(standard)) == {"DequantizeLinear": 1}
    shared = compress_graph(model, [ShareWeights(bits=4)]).model
    assert dict(quantized_parts(shared)) == {"weights as codebooks": 1}
    pruned = compress_graph(model, [PruneMagnitude(sparsity=0.7)]).model
    assert quantized_parts(pruned) == ()


@each_sample
def test_facts_of_a_file_are_those_of_its_bytes(path: Path) -> None:
    facts = file_facts(load(path))
    data = path.with_name(path.name + ".data")
    files = [path, *([data] if data.exists() else [])]
    assert facts.file_bytes == sum(file.stat().st_size for file in files)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [name for name, _ in facts.data_sha256] == [file.name for file in files[1:]]
    assert facts.packed_bytes is not None
    assert 0.5 * facts.file_bytes < facts.packed_bytes < facts.file_bytes
    assert (facts.opset, facts.ir_version) == (17, 8)
    assert facts.nonzeros is not None
    assert facts.nonzeros <= facts.parameters
