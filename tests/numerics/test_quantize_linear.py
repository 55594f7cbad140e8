import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nncompress.numerics.quantize_linear import CODE_TYPES, quantize_linear
from tests.models import noise, session

EDGES = [0.5, 1.5, 2.5, -0.5, -1.5, 7.5, -8.5, 15.5, 126.5, 127.5, -128.5, 255.5, 256, 464, 465, -129, 32767.5]
EDGES += [65504, -65504, np.inf, -np.inf, 6e-8, 0, -0.0, 57344, 61440]


def dtype_named(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def by_onnxruntime(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, **attributes: int) -> np.ndarray:
    """As float32, as which 4-bit and 8-bit codes can be fetched."""
    info = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
        helper.make_node("Cast", ["q"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    constants = [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero_point, "z")]
    graph = helper.make_graph(nodes, "g", [info], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (codes,) = session(model).run(None, {"x": x})
    return np.asarray(codes)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("name", CODE_TYPES)
def test_codes_are_those_of_onnxruntime(name: str, kind: type) -> None:
    half = by_onnxruntime(np.array([1.5], kind), np.array(1, kind), np.array(0, np.int8))
    if half[0] != 2:
        pytest.skip("onnxruntime before 1.25 does not round float16 to even")
    for scale, zero in ((1.0, 0), (0.1, 0), (0.0371, 3), (3.3, 5)):
        random = noise(4000) * scale * 60
        halves = (np.arange(-300, 300) + 0.5) * scale
        with np.errstate(over="ignore"):
            x = np.concatenate([EDGES, random, halves]).astype(kind)
        zero_point = np.array(0 if "float" in name else zero).astype(dtype_named(name))
        codes = quantize_linear(x, np.array(scale, kind), zero_point)
        assert codes is not None
        assert codes.dtype == dtype_named(name)
        assert np.array_equal(codes.astype(np.float32), by_onnxruntime(x, np.array(scale, kind), zero_point))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("block_size", [0, 2, 3, 20])
def test_scales_along_an_axis_or_by_blocks_are_those_of_onnxruntime(axis: int, block_size: int) -> None:
    x = noise(6, 10, 7)
    shape = list(x.shape) if block_size else [x.shape[axis]]
    if block_size:
        shape[axis] = -(-x.shape[axis] // block_size)
    scale = np.random.default_rng(1).uniform(0.01, 0.1, shape).astype(np.float32)
    zero_point = np.random.default_rng(2).integers(-5, 5, shape).astype(np.int8)
    codes = quantize_linear(x, scale, zero_point, axis=axis, block_size=block_size)
    attributes = {"axis": axis, **({"block_size": block_size} if block_size else {})}
    assert codes is not None
    assert np.array_equal(codes, by_onnxruntime(x, scale, zero_point, **attributes))


def test_large_arrays_are_computed_in_blocks_of_rows() -> None:
    x, scale = noise(9, 1 << 20), np.linspace(0.01, 0.09, 9, dtype=np.float32)
    codes = quantize_linear(x, scale, np.zeros(9, np.int8), axis=0)
    assert codes is not None
    assert np.array_equal(codes, np.clip(np.rint(x / scale[:, None]), -128, 127))


@pytest.mark.parametrize(
    ("x", "scale", "zero_point", "options"),
    [
        ([np.nan], 1.0, np.int8(0), {}),
        ([0.0], 0.0, np.int8(0), {}),
        ([1.0, 2.0], [1.0, 1.0, 1.0], np.zeros(3, np.int8), {"axis": 0}),
        ([1.0, 2.0], [1.0, 1.0], np.zeros(2, np.int8), {"axis": 1}),
        ([1.0, 2.0], [1.0, 1.0], np.int8(0), {"axis": 0}),
        ([1.0, 2.0], [1.0], np.zeros(1, np.int8), {"axis": 0, "block_size": -1}),
    ],
)
def test_what_no_processor_or_runtime_agrees_on_has_no_codes(
    x: list[float], scale: object, zero_point: np.ndarray, options: dict[str, int]
) -> None:
    steps = np.array(scale, np.float32)
    assert quantize_linear(np.array(x, np.float32), steps, np.asarray(zero_point), **options) is None


def test_scalars_and_empty_arrays_have_codes() -> None:
    one, zero = np.array(1, np.float32), np.array(0, np.int8)
    assert quantize_linear(np.array(3.5, np.float32), one, zero) == 4
    empty = quantize_linear(np.zeros((0, 3), np.float32), one, zero)
    assert empty is not None
    assert empty.shape == (0, 3)
