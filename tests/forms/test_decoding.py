"""Every form and layout, decoded by onnxruntime, gives the values that numpy decodes, to the bit."""

import itertools
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import pytest

from nncompress.forms.choice import Choice, obstacle
from nncompress.forms.dequantize import Dequantize
from nncompress.forms.form import Storing
from nncompress.forms.store import store
from nncompress.model.constants import find_constants
from nncompress.model.encoding import attach, encoded_of, hold_as_floats
from nncompress.model.model import Model
from nncompress.numerics.affine import Affine, quantize
from nncompress.numerics.encoded import Encoded
from nncompress.numerics.half import rounded_to_half
from nncompress.numerics.held import Store
from nncompress.numerics.sparse import Pruned
from nncompress.passes.context import Context
from nncompress.passes.quantize_weights import QuantizeWeights
from tests.models import context_for, model_of, noise, only_weight, proto_from, run, session

OPSETS = (7, 10, 11, 13, 17, 21)
SHAPE = (24, 40)
DTYPES = {"float": np.float32, "float16": np.float16, "double": np.float64}


def matmul(kind: str, array: np.ndarray, opset: int) -> Model:
    """y = x w with x the unit matrix hands out w to the bit."""
    rows, columns = array.shape
    body = f"g ({kind}[{rows},{rows}] x) => ({kind}[{rows},{columns}] y) {{ y = MatMul(x, w) }}"
    return model_of(body, opset=opset, ir_version=10, w=array)


def encoded(
    kind: str, sparsity: float, *, symmetric: bool = True, signed: bool = True, axes: tuple[int, ...] = (1,)
) -> Affine:
    weight = noise(*SHAPE)
    weight[np.random.default_rng(1).random(SHAPE) < sparsity] = 0
    return quantize(weight, axes, bits=8, signed=signed, symmetric=symmetric, range_="minmax", store=Store()).affine


def stored(model: Model, encoding: Encoded, form: str = "folded") -> Choice:
    attach(only_weight(model), encoding)
    others = constants_bytes(model) - only_weight(model).tensor.nbytes
    ((_, choice),) = store(model, Storing(model.opset, form)).values()
    onnx.checker.check_model(proto_from(model), full_check=True)
    assert choice.size_bytes == constants_bytes(model) - others, "exact to the byte"
    return choice


def constants_bytes(model: Model) -> int:
    return sum(tensor.nbytes for _, tensor, _ in find_constants(model))


def handed_out(model: Model, dtype: type) -> np.ndarray:
    return run(model, x=np.eye(SHAPE[0], dtype=dtype))[0]


def layout_for(sparsity: float, opset: int, *, allowed: bool = True) -> str:
    if opset < 11 or not allowed:
        return ""
    return {0.0: "", 0.7: ", sparse-mask", 0.97: ", sparse-gaps"}[sparsity]


# ------------------------------------------------------------------------------------------------ affine
@pytest.mark.parametrize(("kind", "opset"), list(itertools.product(DTYPES, OPSETS)))
@pytest.mark.parametrize(("symmetric", "signed"), list(itertools.product([True, False], repeat=2)))
def test_folded_codes_decode_to_the_bit(kind: str, opset: int, symmetric: bool, signed: bool) -> None:
    dtype = DTYPES[kind]
    model = matmul(kind, noise(*SHAPE, dtype=dtype), opset)
    encoding = encoded(kind, 0, symmetric=symmetric, signed=signed)
    assert stored(model, encoding).name == "folded"
    assert np.array_equal(handed_out(model, dtype), encoding.decode().astype(dtype))


BIG = (120, 200)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("sparsity", [0.7, 0.97])
@pytest.mark.parametrize("kind", DTYPES)
def test_sparse_codes_decode_to_the_bit(kind: str, sparsity: float, opset: int) -> None:
    dtype = DTYPES[kind]
    weight = noise(*BIG)
    weight[np.random.default_rng(1).random(BIG) < sparsity] = 0
    encoding = quantize(weight, (1,), bits=8, signed=True, symmetric=True, range_="minmax", store=Store()).affine
    model = matmul(kind, weight.astype(dtype), opset)
    assert stored(model, encoding).name == f"folded{layout_for(sparsity, opset)}"
    out = run(model, x=np.eye(BIG[0], dtype=dtype))[0]
    assert np.array_equal(out, encoding.decode().astype(dtype))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("sparsity", [0.7, 0.97])
@pytest.mark.parametrize("kind", DTYPES)
def test_sparse_floats_decode_to_the_bit(kind: str, sparsity: float, opset: int) -> None:
    dtype = DTYPES[kind]
    weight = noise(*BIG, dtype=dtype)
    weight[np.random.default_rng(1).random(BIG) < sparsity] = 0
    model = matmul(kind, weight, opset)
    made = stored(model, Pruned(Store().hold(weight), BIG, int(np.count_nonzero(weight))))
    assert made.name == (layout_for(sparsity, opset).removeprefix(", ") or "dense")
    assert np.array_equal(run(model, x=np.eye(BIG[0], dtype=dtype))[0], weight)


@pytest.mark.parametrize("columns", range(193, 200))
@pytest.mark.parametrize("sparsity", [0.7, 0.97])
def test_sizes_that_fill_no_whole_byte_of_a_mask_decode_to_the_bit(sparsity: float, columns: int) -> None:
    weight = noise(121, columns)
    weight[np.random.default_rng(1).random(weight.shape) < sparsity] = 0
    model = matmul("float", weight, 17)
    made = stored(model, Pruned(Store().hold(weight), weight.shape, int(np.count_nonzero(weight))))
    assert made.name == layout_for(sparsity, 17).removeprefix(", ")
    assert np.array_equal(run(model, x=np.eye(121, dtype=np.float32))[0], weight)


@pytest.mark.parametrize("opset", [10, 13, 17, 21])
@pytest.mark.parametrize(("symmetric", "signed"), list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("axes", [(), (0,), (1,)])
@pytest.mark.parametrize("kind", ["float", "float16", "double"])
def test_dequantize_linear_decodes_to_the_bit(
    kind: str, axes: tuple[int, ...], symmetric: bool, signed: bool, opset: int
) -> None:
    dtype = DTYPES[kind]
    model = matmul(kind, noise(*SHAPE, dtype=dtype), opset)
    encoding = encoded(kind, 0, symmetric=symmetric, signed=signed, axes=axes)
    made = stored(model, encoding, "dequantize")
    if opset < 13 and axes:
        assert made.name == "folded"
        assert made.note == "DequantizeLinear with one scale a channel needs opset 13, not 10"
    else:
        assert made.name == "dequantize"
        assert "DequantizeLinear" in [node.op_type for node in proto_from(model).graph.node]
    out = exact(model, np.eye(SHAPE[0], dtype=dtype))
    assert np.array_equal(out, encoding.decode().astype(dtype))


def exact(model: Model, x: np.ndarray) -> np.ndarray:
    """Without onnxruntime's rewrite of DequantizeLinear before MatMul into integer arithmetic."""
    return session(model, exact=True).run(None, {"x": x})[0]


@pytest.mark.parametrize("form", ["folded", "dequantize"])
@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (0, 2)])
def test_scales_along_two_axes_decode_to_the_bit(form: str, axes: tuple[int, ...]) -> None:
    body = "g (float[3,4,4] x) => (float[3,4,5] y) { y = MatMul(x, w) }"
    model = model_of(body, w=noise(3, 4, 5))
    encoding = quantize(
        noise(3, 4, 5), axes, bits=8, signed=True, symmetric=False, range_="minmax", store=Store()
    ).affine
    assert stored(model, encoding, form).name == form
    assert np.array_equal(exact(model, np.stack([np.eye(4, dtype=np.float32)] * 3)), encoding.decode())


@pytest.mark.parametrize("form", ["folded", "dequantize"])
@pytest.mark.parametrize(
    ("groups", "shape"), [(2, (8, 3, 2)), (4, (8, 3, 2, 3)), (2, (4, 1, 3)), (8, (8, 2, 3)), (2, (4, 3, 2, 1, 2))]
)
def test_scales_of_groups_decode_to_the_bit(groups: int, shape: tuple[int, ...], form: str) -> None:
    """A ConvTranspose of single ones at each place hands out its weight."""
    weight, rank = noise(*shape), len(shape) - 2
    weight[: shape[0] // groups] *= 100
    kernel = ",".join(map(str, shape[2:]))
    head = f"g (float[N,{shape[0]},{','.join('1' * rank)}] x) => (float[N,{groups * shape[1]},{kernel}] y)"
    model = model_of(f"{head} {{ y = ConvTranspose<group={groups}>(x, w) }}", w=weight)
    QuantizeWeights(min_size=1, equalise=False, only_if_smaller=False, range="minmax").apply(model, context_for(model))
    encoding = encoded_of(only_weight(model))
    assert isinstance(encoding, Affine)
    block = weight.reshape(groups, -1, *shape[1:])
    largest = np.abs(block).max(axis=(1, *range(3, block.ndim)))
    np.testing.assert_allclose(encoding.scale.reshape(groups, -1), largest / 127, rtol=1e-6)
    assert stored(model, encoding, form).name == form
    x = np.eye(shape[0], dtype=np.float32).reshape(shape[0], shape[0], *[1] * rank)
    handed = exact(model, x).reshape(shape[0], groups, *shape[1:])
    member = np.arange(shape[0]) // (shape[0] // groups)
    assert np.array_equal(handed[np.arange(shape[0]), member], encoding.decode())


@pytest.mark.parametrize("form", ["folded", "dequantize"])
def test_a_second_scale_decodes_to_the_bit(form: str) -> None:
    second = np.random.default_rng(2).uniform(0.5, 2, (SHAPE[0], 1)).astype(np.float32)
    encoding = replace(encoded("float", 0), input_scale=second)
    model = matmul("float", noise(*SHAPE), 17)
    assert stored(model, encoding, form).name == form
    assert np.array_equal(exact(model, np.eye(SHAPE[0], dtype=np.float32)), encoding.decode())


def test_bfloat16_weights_decode_to_the_bit() -> None:
    """onnxruntime has no bfloat16 MatMul on the CPU: Cast hands the weight out."""
    weight = noise(*SHAPE).astype(ml_dtypes.bfloat16)
    body = "g (float[24,24] x) => (float[24,40] y) { f = Cast<to=1>(w) y = MatMul(x, f) }"
    for opset in (13, 17, 21):
        model = model_of(body, opset=opset, ir_version=10, w=weight)
        encoding = encoded("float", 0)
        assert stored(model, encoding).name == "folded"
        expected = encoding.decode().astype(ml_dtypes.bfloat16).astype(np.float32)
        assert np.array_equal(handed_out(model, np.float32), expected)


# ------------------------------------------------------------------------------------------------ tables
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("symmetric", "channels", "axis"),
    [
        (True, "rows", 0),
        (True, "rows", 1),
        (False, "rows", 0),
        (False, "rows", 1),
        (False, "all", 0),
        (False, "all", 1),
        (False, "columns", 0),
    ],
)
@pytest.mark.parametrize("kind", DTYPES)
def test_looked_up_codes_decode_to_the_bit(kind: str, channels: str, symmetric: bool, axis: int, opset: int) -> None:
    dtype = DTYPES[kind]
    scaled = {"rows": (axis,), "columns": (1 - axis,), "all": ()}[channels]
    ids = np.array([[3, 0, 3], [23, 7, 1]])
    body = f"g (int64[2,3] x) => ({kind}[a,b,c] y) {{ y = Gather<axis={axis}>(w, x) }}"
    model = model_of(body, opset=opset, ir_version=10, w=noise(*SHAPE, dtype=dtype))
    encoding = encoded(kind, 0, symmetric=symmetric, axes=scaled)
    made = stored(model, encoding)
    assert made.name == "gather-dequantize"
    assert np.array_equal(run(model, x=ids)[0], np.take(encoding.decode(), ids, axis).astype(dtype))
    constants = sum(len(t.raw_data) for t in proto_from(model).graph.initializer)
    assert made.size_bytes == constants


def test_a_table_that_a_session_is_to_hold_as_floats_is_folded() -> None:
    model = model_of("g (int64[2] x) => (float[2,40] y) { y = Gather(w, x) }", w=noise(*SHAPE))
    encoding = encoded("float", 0, axes=(0,))
    hold_as_floats(only_weight(model).value)
    assert stored(model, encoding).name == "folded"
    assert np.array_equal(run(model, x=np.array([3, 0]))[0], encoding.decode()[[3, 0]])


def test_a_table_whose_scales_lie_before_the_looked_up_axis_is_folded() -> None:
    model = model_of("g (int64[2] x) => (float[24,2] y) { y = Gather<axis=1>(w, x) }", w=noise(*SHAPE))
    encoding = encoded("float", 0, axes=(0,))
    assert stored(model, encoding).name == "folded"
    assert np.array_equal(run(model, x=np.array([3, 0]))[0], encoding.decode()[:, [3, 0]])


def test_a_table_with_several_lookups_is_stored_once() -> None:
    body = (
        "g (int64[3] x) => (float[3,40] y, float[40] z) { y = Gather(w, x) i = Constant<value=int64 {-1}>() "
        "z = Gather(w, i) }"
    )
    model = model_of(body, w=noise(*SHAPE))
    encoding = encoded("float", 0, axes=(0,))
    stored(model, encoding)
    y, z = run(model, x=np.array([1, 5, 2]))
    assert np.array_equal(y, encoding.decode()[[1, 5, 2]])
    assert np.array_equal(z, encoding.decode()[-1])
    assert sorted(tuple(t.dims) for t in proto_from(model).graph.initializer) == [(24, 1), (24, 40)]


def test_a_second_scale_of_a_table_is_applied_to_what_is_looked_up() -> None:
    second = np.random.default_rng(2).uniform(0.5, 2, (1, SHAPE[1])).astype(np.float32)
    encoding = replace(encoded("float", 0, axes=(0,)), input_scale=second)
    model = model_of("g (int64[2,2] x) => (float[2,2,40] y) { y = Gather(w, x) }", w=noise(*SHAPE))
    assert stored(model, encoding).name == "gather-dequantize"
    ids = np.array([[1, 2], [3, 23]])
    assert np.array_equal(run(model, x=ids)[0], encoding.decode()[ids])


def test_forms_say_from_which_opset_they_work() -> None:
    weight = only_weight(model_of("g (float[2,24] x) => (float[2,40] y) { y = MatMul(x, w) }", w=noise(*SHAPE)))
    per_tensor, per_channel = encoded("float", 0, axes=()), encoded("float", 0, axes=(1,))
    assert Dequantize.least_opset == 10
    assert Dequantize().obstacle(weight, per_tensor, Storing(10)) is None
    assert "needs opset 13, not 10" in str(Dequantize().obstacle(weight, per_channel, Storing(10)))
    assert Dequantize().obstacle(weight, per_channel, Storing(13)) is None
    assert Dequantize().obstacle(weight, per_channel, Storing(27)) is None
    assert "no DequantizeLinear of opset 28" in str(Dequantize().obstacle(weight, per_channel, Storing(28)))


@pytest.mark.parametrize(("opset", "form"), [(9, "folded"), (10, "dequantize")])
def test_a_form_that_the_opset_does_not_have_is_not_taken_and_the_reason_said(opset: int, form: str) -> None:
    model = matmul("float", noise(*SHAPE), opset)
    choice = stored(model, encoded("float", 0, axes=()), "dequantize")
    assert choice.name == form
    assert choice.note == (None if opset == 10 else "form dequantize needs opset 10, and the model has 9")


def test_dequantize_linear_always_has_a_zero_point() -> None:
    model = matmul("float", noise(*SHAPE), 17)
    stored(model, encoded("float", 0), "dequantize")
    (node,) = (node for node in proto_from(model).graph.node if node.op_type == "DequantizeLinear")
    zero = next(t for t in proto_from(model).graph.initializer if t.name == node.input[2])
    assert (zero.data_type, onnx.numpy_helper.to_array(zero).tolist()) == (onnx.TensorProto.INT8, [0] * SHAPE[1])


# ------------------------------------------------------------------------------------------------ halves
@pytest.mark.parametrize("opset", [7, 11, 13, 20])
@pytest.mark.parametrize("sparsity", [0.0, 0.7, 0.97])
@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_halves_decode_to_the_bit_in_every_layout(dtype: type, kind: str, sparsity: float, opset: int) -> None:
    weight = noise(*BIG, dtype=DTYPES[kind])
    weight[np.random.default_rng(1).random(BIG) < sparsity] = 0
    half, _ = rounded_to_half(weight, np.dtype(dtype), Store())
    model = matmul(kind, weight, opset)
    if dtype == ml_dtypes.bfloat16 and opset < 13:
        said = obstacle(only_weight(model), half, Storing(opset))
        assert said == f"bfloat16 needs opset 13, and the model has {opset}"
        return
    expected = layout_for(sparsity, opset)
    if dtype == ml_dtypes.bfloat16 and opset < 20:
        expected = expected.replace("gaps", "mask")
    assert stored(model, half).name == f"cast{expected}"
    out = run(model, x=np.eye(BIG[0], dtype=DTYPES[kind]))[0]
    assert np.array_equal(out, half.decode().astype(DTYPES[kind]))


def test_a_transposed_weight_before_a_vector_is_stored_folded() -> None:
    """onnxruntime computes this product wrongly where the matrix is no constant."""
    model = model_of("g (float[24] x) => (float[40] y) { t = Transpose(w) y = MatMul(t, x) }", w=noise(*SHAPE))
    encoding = encoded("float", 0, axes=())
    made = stored(model, encoding, form="dequantize")
    assert made.name == "folded"
    assert made.note == "onnxruntime multiplies a transposed matrix that is no constant and a vector wrongly"
    x = noise(24)
    np.testing.assert_allclose(run(model, x=x)[0], encoding.decode().T @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("block", [None, 16, 20])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("body", ["y = MatMul(x, w)", "y = Gemm(x, w)"])
def test_four_bits_and_blocks_of_dequantize_linear_decode_to_the_bit(
    body: str, dtype: str, block: int | None, zero_points: bool
) -> None:
    weight = noise(64, 61) + np.float32(zero_points)
    model = model_of(f"g (float[64,64] x) => (float[64,61] y) {{ {body} }}", opset=21, w=weight)
    options = {"bits": 4, "block": block, "dtype": dtype, "min_size": 1, "only_if_smaller": False, "smallest": "same"}
    storing = Context(Storing(21, "dequantize"))
    QuantizeWeights(symmetric=not zero_points, **options).apply(model, storing)  # type: ignore[arg-type]
    encoding = encoded_of(only_weight(model))
    assert isinstance(encoding, Affine)
    made = stored(model, encoding, "dequantize")
    assert (made.name, made.note) == ("dequantize", None)
    assert made.size_bytes - 64 * 61 // 2 <= encoding.scale.size * 4.5 + 3
    (node,) = [node for node in proto_from(model).graph.node if node.op_type == "DequantizeLinear"]
    sizes = {attribute.name: attribute.i for attribute in node.attribute}
    assert sizes.get("block_size") == (None if block is None else 16)
    assert np.array_equal(exact(model, np.eye(64, dtype=np.float32)), encoding.decode())


def test_convolutions_have_blocks_across_their_kernels() -> None:
    weight = noise(12, 8, 3, 3)
    model = model_of("g (float[1,8,3,3] x) => (float[1,12,1,1] y) { y = Conv(x, w) }", opset=21, w=weight)
    options = {"bits": 4, "block": 24, "min_size": 1, "only_if_smaller": False, "smallest": "same"}
    QuantizeWeights(**options).apply(model, Context(Storing(21, "dequantize")))  # type: ignore[arg-type]
    encoding = encoded_of(only_weight(model))
    assert isinstance(encoding, Affine)
    assert stored(model, encoding, "dequantize").name == "dequantize"
    (node,) = [node for node in proto_from(model).graph.node if node.op_type == "DequantizeLinear"]
    assert {attribute.name: attribute.i for attribute in node.attribute} == {"axis": 1, "block_size": 24}
    x = noise(1, 8, 3, 3, seed=1)
    expected = (x[:, None].astype(np.float64) * encoding.decode()).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(exact(model, x)[..., 0, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4])
def test_tables_with_blocks_are_folded(bits: int) -> None:
    table = noise(50, 64)
    model = model_of("g (int64[3] i) => (float[3,64] y) { y = Gather(w, i) }", opset=21, w=table)
    options = {"bits": bits, "block": 16, "min_size": 1, "only_if_smaller": False, "smallest": "same"}
    QuantizeWeights(**options).apply(model, context_for(model))  # type: ignore[arg-type]
    encoding = encoded_of(only_weight(model))
    assert isinstance(encoding, Affine)
    assert stored(model, encoding).form.name == "folded"
    assert np.array_equal(run(model, i=np.array([0, 49, 7]))[0], encoding.decode()[[0, 49, 7]])
