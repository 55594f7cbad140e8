"""Weights of less than eight bits: onnxruntime and onnx's reference decode what numpy does, in the foretold bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from nncompress.forms.form import Storing
from nncompress.forms.store import store
from nncompress.model.constants import find_constants
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.passes.base import WeightPass
from nncompress.passes.binarize import Binarize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from tests.models import context_for, file_of, model_of, noise, only_weight

ANY = {"min_size": 1, "only_if_smaller": False}
PASSES: dict[str, WeightPass] = {
    **{f"{bits} bits": QuantizeWeights(bits=bits, smallest="same", **ANY) for bits in (2, 3, 4, 5, 6, 7)},  # type: ignore[arg-type]
    "zero points": QuantizeWeights(bits=4, symmetric=False, smallest="same", **ANY),  # type: ignore[arg-type]
    "uint8": QuantizeWeights(bits=3, dtype="uint8", smallest="same", **ANY),  # type: ignore[arg-type]
    "blocks": QuantizeWeights(bits=4, block=16, smallest="same", **ANY),  # type: ignore[arg-type]
    **{f"shared {bits}": ShareWeights(bits=bits, **ANY) for bits in (1, 2, 4, 7)},  # type: ignore[arg-type]
    "shared by all": ShareWeights(granularity="tensor", **ANY),  # type: ignore[arg-type]
    "shared with scales": ShareWeights(granularity="channel", **ANY),  # type: ignore[arg-type]
    "normal-float": ShareWeights(scheme="normal-float", block=16, **ANY),  # type: ignore[arg-type]
    "powers of two": ShareWeights(scheme="power-of-two", granularity="tensor", **ANY),  # type: ignore[arg-type]
    "shared in blocks": ShareWeights(block=16, **ANY),  # type: ignore[arg-type]
    **{f"groups share {bits}": ShareWeights(bits=bits, group_channels=17, **ANY) for bits in (1, 3, 4)},  # type: ignore[arg-type]
    "groups without scales": ShareWeights(granularity="tensor", group_channels=17, **ANY),  # type: ignore[arg-type]
    "groups with scales": ShareWeights(granularity="channel", group_channels=17, **ANY),  # type: ignore[arg-type]
    "groups in blocks": ShareWeights(block=16, group_channels=17, **ANY),  # type: ignore[arg-type]
    **{f"{terms} signs": Binarize(terms=terms, **ANY) for terms in (1, 2, 3, 4)},  # type: ignore[arg-type]
    "signs in blocks": Binarize(block=16, **ANY),  # type: ignore[arg-type]
}
BODIES = {  # each hands out its weight, read by a unit matrix or by single ones
    "MatMul": ("g (float[48,48] x) => (float[48,50] y) { y = MatMul(x, w) }", (48, 50)),
    "Gemm": ("g (float[48,48] x) => (float[48,51] y) { y = Gemm<transB=1>(x, w) }", (51, 48)),
    "Conv": ("g (float[N,16,3,1] x) => (float[N,20,1,1] y) { y = Conv(x, w) }", (20, 16, 3, 1)),
}


def fed(case: str) -> np.ndarray:
    unit = np.eye(48, dtype=np.float32)
    return unit.reshape(48, 16, 3, 1) if case == "Conv" else unit


def handed(case: str, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The weight."""
    return y if case == "MatMul" else y.reshape(48, -1).T.reshape(shape)


def stored(model: Model, *passes: WeightPass) -> np.ndarray:
    """What numpy decodes; the model has it in its form afterwards."""
    for step in passes:
        step.apply(model, context_for(model))
    encoding = encoded_of(only_weight(model))
    assert encoding is not None
    others = constants_bytes(model) - only_weight(model).tensor.nbytes
    ((_, choice),) = store(model, Storing(model.opset)).values()
    assert choice.size_bytes == constants_bytes(model) - others, "exact to the byte"
    return encoding.decode()


def constants_bytes(model: Model) -> int:
    return sum(tensor.nbytes for _, tensor, _ in find_constants(model))


def outputs(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """By runtime and level of optimisation."""
    levels = ort.GraphOptimizationLevel
    results = {"reference": ReferenceEvaluator(str(path)).run(None, {"x": x})[0]}
    for name in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"):
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(levels, name)
        results[name] = ort.InferenceSession(path, options).run(None, {"x": x})[0]
    return results


@pytest.mark.parametrize(("case", "opset"), [("MatMul", 11), ("Gemm", 21), ("Conv", 17)])
@pytest.mark.parametrize("name", PASSES)
def test_every_runtime_decodes_what_numpy_decodes(name: str, case: str, opset: int, tmp_path: Path) -> None:
    body, shape = BODIES[case]
    model = model_of(body, opset=opset, ir_version=8, w=noise(*shape))
    decoded = stored(model, PASSES[name])
    assert len(np.unique(decoded)) >= 2 or name == "shared 1"
    for runtime, y in outputs(file_of(model, tmp_path / "m.onnx"), fed(case)).items():
        got = handed(case, y, shape)
        if name.endswith("signs") or runtime == "reference":  # sums of several floats, in another order
            np.testing.assert_allclose(got, decoded, rtol=1e-5, atol=1e-6)
        else:
            assert np.array_equal(got, decoded), runtime


@pytest.mark.parametrize("name", ["4 bits", "shared 4", "shared with scales", "groups share 4", "groups with scales"])
@pytest.mark.parametrize(("sparsity", "layout"), [(0.7, "GatherElements"), (0.98, "ScatterElements")])
def test_pruned_weights_are_sparse_at_every_width(name: str, sparsity: float, layout: str, tmp_path: Path) -> None:
    model = model_of("g (float[300,300] x) => (float[300,300] y) { y = MatMul(x, w) }", w=noise(300, 300))
    decoded = stored(model, PruneMagnitude(sparsity=sparsity), PASSES[name])
    assert np.mean(decoded == 0) == pytest.approx(sparsity, abs=0.01)
    assert ("ScatterElements" in [node.op_type for node in model.ir.graph]) == (layout == "ScatterElements")
    nonzeros = round(90_000 * (1 - sparsity))
    least = nonzeros * 1.5 if layout == "ScatterElements" else nonzeros / 2 + 90_000 / 8
    assert least <= constants_bytes(model) <= 1.05 * least + 3000  # scales and values
    y = ort.InferenceSession(file_of(model, tmp_path / "m.onnx")).run(None, {"x": np.eye(300, dtype=np.float32)})[0]
    assert np.array_equal(y, decoded)


@pytest.mark.parametrize("kind", ["float16", "double"])
@pytest.mark.parametrize("name", ["3 bits", "shared with scales", "groups share 3", "2 signs"])
def test_weights_of_other_types_come_back_in_theirs(name: str, kind: str, tmp_path: Path) -> None:
    dtype = {"float16": np.float16, "double": np.float64}[kind]
    body = f"g ({kind}[48,48] x) => ({kind}[48,50] y) {{ y = MatMul(x, w) }}"
    model = model_of(body, opset=17, ir_version=8, w=noise(48, 50, dtype=dtype))
    decoded = stored(model, PASSES[name])
    y = ort.InferenceSession(file_of(model, tmp_path / "m.onnx")).run(None, {"x": np.eye(48, dtype=dtype)})[0]
    assert y.dtype == dtype
    np.testing.assert_allclose(y, decoded.astype(dtype), rtol=1e-3 if kind == "float16" else 1e-6)


@pytest.mark.parametrize(("name", "bits"), [("3 bits", 3), ("5 bits", 5), ("shared 4", 4), ("2 signs", 2)])
def test_bits_per_weight_are_within_two_percent_of_theory(name: str, bits: int, tmp_path: Path) -> None:
    model = model_of("g (float[1024,1024] x) => (float[1024,1024] y) { y = MatMul(x, w) }", w=noise(1024, 1024))
    before = file_of(model, tmp_path / "a").stat().st_size - 4 * 1024 * 1024
    stored(model, PASSES[name])
    size = file_of(model, tmp_path / "b").stat().st_size - before
    assert bits <= 8 * size / 1024**2 <= 1.02 * bits + 0.01
