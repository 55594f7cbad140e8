"""2-bit integers in DequantizeLinear: what numpy decodes, four codes in a byte; none where onnxruntime is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from nncompress.forms.choice import cheapest
from nncompress.forms.form import Storing
from nncompress.forms.store import store
from nncompress.model.constants import find_constants
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Plain
from nncompress.passes import QuantizeWeights
from nncompress.passes.context import Context
from nncompress.workflow.pipeline import compress_graph
from tests.models import file_of, linear, model_of, noise, only_weight, proto_from, session

STORING = Storing(25, "dequantize")
GRAINS: dict[str, dict[str, Any]] = {
    "per tensor": {"granularity": "tensor"},
    "per channel": {"granularity": "channel"},
    "in blocks": {"block": 16},
    "zero points": {"symmetric": False},
    "unsigned": {"dtype": "uint8", "symmetric": False},
    "unsigned in blocks": {"dtype": "uint8", "block": 8, "symmetric": False},
}
BODIES = {  # each hands out its weight, read by a unit matrix or by single ones
    "MatMul": ("g (float[48,48] x) => (float[48,52] y) { y = MatMul(x, w) }", (48, 52)),
    "Gemm": ("g (float[48,48] x) => (float[48,51] y) { y = Gemm<transB=1>(x, w) }", (51, 48)),
    "Conv": ("g (float[N,16,3,1] x) => (float[N,21,1,1] y) { y = Conv(x, w) }", (21, 16, 3, 1)),
    "batched": ("g (float[3,48,48] x) => (float[3,48,50] y) { y = MatMul(x, w) }", (3, 48, 50)),
}


def two_bits(**options: Any) -> QuantizeWeights:
    return QuantizeWeights(bits=2, smallest="same", min_size=1, only_if_smaller=False, **options)


def of_opset_25(body: str, **constants: np.ndarray) -> Model:
    return model_of(body, opset=25, ir_version=10, **constants)


def fed(case: str) -> np.ndarray:
    unit = np.eye(48, dtype=np.float32)
    return {"Conv": unit.reshape(48, 16, 3, 1), "batched": np.stack([unit] * 3)}.get(case, unit)


def handed(case: str, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The weight."""
    return y if case in ("MatMul", "batched") else y.reshape(48, -1).T.reshape(shape)


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("grain", GRAINS)
def test_every_runtime_decodes_what_numpy_decodes(grain: str, case: str, tmp_path: Path) -> None:
    body, shape = BODIES[case]
    model = of_opset_25(body, w=noise(*shape))
    two_bits(**GRAINS[grain]).apply(model, Context(STORING))
    weight = only_weight(model)
    encoded = encoded_of(weight)
    assert encoded is not None
    decoded = encoded.decode()
    ((_, choice),) = store(model, STORING).values()
    tensors = {value.name: tensor for value, tensor, _ in find_constants(model)}
    assert choice.size_bytes == sum(tensor.nbytes for tensor in tensors.values()), "exact to the byte"
    codes = max(tensors.values(), key=lambda tensor: tensor.size)
    assert (codes.dtype.name, codes.nbytes) == ("UINT2" if "unsigned" in grain else "INT2", -(-decoded.size // 4))
    assert len(np.unique(codes.numpy())) >= 3
    path, x = file_of(model, tmp_path / "m.onnx"), fed(case)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert np.array_equal(handed(case, session(path, exact=True).run(None, {"x": x})[0], shape), decoded)
    assert np.array_equal(handed(case, ReferenceEvaluator(str(path)).run(None, {"x": x})[0], shape), decoded)
    deployed = handed(case, session(path).run(None, {"x": x})[0], shape)  # a MatMul rounds a row of 0 and 1 to itself
    np.testing.assert_allclose(deployed, decoded, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("bits", "opset", "version"), [(2, 25, 13), (4, 21, 10), (8, 13, 8)])
def test_opset_and_ir_version_are_those_that_have_the_type(bits: Any, opset: int, version: int) -> None:
    step = QuantizeWeights(bits=bits, smallest="same")
    assert step.needed_opset("dequantize")[0] == opset
    model = linear(noise(64, 64), opset=opset)
    small = compress_graph(model, [step], form="dequantize").model
    assert (model.ir.ir_version, small.ir.ir_version) == (8, version)
    assert [node.op_type for node in proto_from(small).graph.node] == ["DequantizeLinear", "MatMul"]


WRONG = "onnxruntime multiplies by 2-bit matrices of 50 columns wrongly: only multiples of 4 are right"
UNLOADED = "onnxruntime loads no 2-bit integers that a Transpose reads"
TURNED = "t = Transpose<perm=[1,0]>(w) y = "
REFUSED = {
    "MatMul": ("y = MatMul(x, w)", (64, 50), {}, WRONG),
    "MatMul in blocks": ("y = MatMul(x, w)", (64, 50), {"block": 16}, WRONG),
    "Gemm": ("y = Gemm(x, w)", (64, 50), {}, WRONG),
    "Identity": ("t = Identity(w) y = MatMul(x, t)", (64, 50), {}, WRONG),
    "turned": (f"{TURNED} MatMul(x, t)", (48, 64), {}, UNLOADED),
    "turned twice": (f"s = Identity(w) {TURNED.replace('(w)', '(s)')} MatMul(x, t)", (48, 64), {}, UNLOADED),
}  # fmt: skip
TAKEN = {
    "Gemm<transB=1>": ("y = Gemm<transB=1>(x, w)", (50, 64), {}),
    "turned in blocks": (f"{TURNED} MatMul(x, t)", (48, 64), {"block": 16}),
    "four times as many": ("y = MatMul(x, w)", (64, 52), {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_onnxruntime_gets_wrong_takes_another_form(name: str) -> None:
    nodes, shape, options, reason = REFUSED[name]
    model = of_opset_25(f"g (float[N,64] x) => (float[N,M] y) {{ {nodes} }}", w=noise(*shape))
    two_bits(**options).apply(model, Context(STORING))
    ((_, choice),) = store(model, STORING).values()
    assert (choice.form.name, choice.note) == ("folded", reason)
    assert model.ir.ir_version == 10
    x = noise(3, 64, seed=1)
    (exact,), (deployed,) = session(model, exact=True).run(None, {"x": x}), session(model).run(None, {"x": x})
    np.testing.assert_allclose(deployed, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TAKEN)
def test_what_it_gets_right_is_stored(name: str) -> None:
    nodes, shape, options = TAKEN[name]
    model = of_opset_25(f"g (float[N,64] x) => (float[N,M] y) {{ {nodes} }}", w=noise(*shape))
    small = compress_graph(model, [two_bits(**options)], form="dequantize").model
    assert "DequantizeLinear" in [node.op_type for node in proto_from(small).graph.node]
    x = noise(3, 64, seed=1)
    (exact,), (deployed,) = session(small, exact=True).run(None, {"x": x}), session(small).run(None, {"x": x})
    assert np.linalg.norm(deployed - exact) < 0.02 * np.linalg.norm(exact)  # activations of 8 bits


def test_an_older_opset_takes_another_form() -> None:
    affine = Affine(
        Plain(np.ones((64, 64), np.int8)), np.ones((1, 1), np.float32), None, (64, 64), (64, 64), True, 2, 64 * 64
    )
    choice = cheapest(only_weight(linear(noise(64, 64))), affine, Storing(24, "dequantize"))
    assert (choice.form.name, choice.note) == ("folded", "DequantizeLinear with 2 bits needs opset 25, not 24")


def test_codes_lie_four_in_a_byte_the_first_lowest(tmp_path: Path) -> None:
    model = of_opset_25("g (float[N,4] x) => (float[N,4] y) { y = MatMul(x, w) }", w=np.eye(4, dtype=np.float32))
    two_bits(granularity="tensor").apply(model, Context(STORING))
    store(model, STORING)
    proto = onnx.load(file_of(model, tmp_path / "m.onnx"))
    (codes,) = [each for each in proto.graph.initializer if list(each.dims) == [4, 4]]
    assert codes.raw_data == bytes([0b1, 0b100, 0b10000, 0b1000000])
    assert np.array_equal(onnx.numpy_helper.to_array(codes), np.eye(4).astype(ml_dtypes.int2))
