"""Affine quantization against its definition by brute force: codes, scales, zero points, errors and clipping."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics import affine
from nncompress.numerics.affine import Quantized, quantize
from nncompress.numerics.grid import levels
from nncompress.numerics.held import Store
from tests.models import noise

KINDS = list(itertools.product([True, False], [True, False]))  # signed, symmetric
each_kind = pytest.mark.parametrize(("signed", "symmetric"), KINDS)
AXES = [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]
slow = settings(max_examples=60, deadline=None, derandomize=True)
finite = st.floats(-(2.0**50), 2.0**50, width=32)
weights = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=finite)


def made(
    weight: np.ndarray, axes: tuple[int, ...] = (), *, bits: int = 8, signed: bool = True, symmetric: bool = True,
    range_: affine.Range = "minmax",
) -> Quantized:  # fmt: skip
    return quantize(weight, axes, bits=bits, signed=signed, symmetric=symmetric, range_=range_, store=Store())


def squared_error(weight: np.ndarray, quantized: Quantized) -> float:
    difference = weight.astype(np.float64) - quantized.affine.decode()
    return float(np.sum(difference**2))


# ------------------------------------------------------------------------------------------------ errors
@each_kind
@pytest.mark.parametrize("axes", AXES)
def test_without_clipping_no_element_is_off_by_more_than_half_a_step(
    signed: bool, symmetric: bool, axes: tuple[int, ...]
) -> None:
    weight = noise(5, 6, 7) + np.float32(0.3)
    found = made(weight, axes, signed=signed, symmetric=symmetric).affine
    assert found.scale.shape == tuple(d if a in axes else 1 for a, d in enumerate(weight.shape))
    error = np.abs(weight - found.decode())
    # rounding the zero point can push an end of the range by half a step beyond the last code
    assert np.all(error <= (0.5 if symmetric else 1.0) * found.scale * (1 + 1e-5))
    assert np.mean(error <= 0.5 * found.scale * (1 + 1e-5)) > 0.95


@each_kind
@pytest.mark.parametrize("axes", [(), (1,), (0, 2)])
def test_codes_scales_and_zero_points_are_those_of_the_definition(
    signed: bool, symmetric: bool, axes: tuple[int, ...]
) -> None:
    weight = noise(4, 5, 6, seed=3) - np.float32(0.5)
    found = made(weight, axes, signed=signed, symmetric=symmetric).affine
    others = tuple(a for a in range(3) if a not in axes)
    low = np.minimum(weight.min(axis=others, keepdims=True), 0).astype(np.float64)
    high = np.maximum(weight.max(axis=others, keepdims=True), 0).astype(np.float64)
    if symmetric:
        high = np.maximum(high, -low)
        low = -high
    smallest, largest = levels(8, signed=signed, symmetric=symmetric)
    scale = ((high - low) / (largest - smallest)).astype(np.float32)
    zero = np.full(scale.shape, (smallest + largest) // 2) if symmetric else np.rint(smallest - low / scale)
    codes = np.clip(np.rint(weight / scale) + zero, smallest, largest)
    assert np.array_equal(found.scale, scale)
    assert np.all((0 if found.zero_point is None else found.zero_point) == zero)
    assert np.array_equal(found.codes.load(), codes)
    assert found.codes.load().dtype == (np.int8 if signed else np.uint8)
    decoded = (found.codes.load() - zero).astype(np.float32) * scale
    assert np.array_equal(found.decode(), decoded)


@pytest.mark.parametrize(
    ("bits", "signed", "symmetric", "expected"),
    [
        (8, True, True, (-127, 127)),
        (8, True, False, (-128, 127)),
        (8, False, True, (1, 255)),
        (8, False, False, (0, 255)),
        (4, True, True, (-7, 7)),
        (2, True, False, (-2, 1)),
    ],
)
def test_symmetric_levels_leave_out_the_odd_one(
    bits: int, signed: bool, symmetric: bool, expected: tuple[int, int]
) -> None:
    assert levels(bits, signed=signed, symmetric=symmetric) == expected


@slow
@given(weights, st.sampled_from(KINDS), st.sampled_from(["minmax", "mse"]), st.sampled_from([(), (0,), (1,)]))
def test_zero_is_exact_and_sums_of_squares_are_measured(
    weight: np.ndarray, kind: tuple[bool, bool], range_: affine.Range, axes: tuple[int, ...]
) -> None:
    weight[0, 0] = 0
    found = made(weight, axes, signed=kind[0], symmetric=kind[1], range_=range_)
    decoded = found.affine.decode()
    assert np.all(decoded[weight == 0] == 0)
    assert np.isfinite(decoded).all()
    assert found.affine.nonzeros == np.count_nonzero(decoded)
    signal = float(np.sum(weight.astype(np.float64) ** 2))
    if signal > 1e-30:  # squares of smaller values are denormal
        assert found.signal == pytest.approx(signal, rel=1e-4)
        assert found.noise == pytest.approx(squared_error(weight, found), rel=1e-2, abs=1e-6 * signal)


def test_negating_a_weight_negates_its_symmetric_codes() -> None:
    weight = noise(20, 30)
    for range_ in ("minmax", "mse", "half-quadratic"):
        one, other = (made(w, (0,), range_=range_).affine.codes.load() for w in (weight, -weight))  # type: ignore[arg-type]
        assert np.array_equal(one, -other)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (1, 2)])
def test_a_channel_is_quantized_as_if_it_were_alone(axes: tuple[int, ...]) -> None:
    weight = noise(3, 4, 50) * np.float32([[[1]], [[100]], [[0.01]]])
    found = made(weight, axes, range_="mse").affine
    for index in np.ndindex(*(weight.shape[a] for a in axes)):
        picked = tuple(
            slice(index[axes.index(a)], index[axes.index(a)] + 1) if a in axes else slice(None) for a in range(3)
        )
        alone = made(np.ascontiguousarray(weight[picked]), (), range_="mse").affine
        assert np.array_equal(alone.codes.load(), found.codes.load()[picked])
        assert alone.scale.item() == found.scale[picked].item()


def test_blocks_do_not_show() -> None:
    weight = noise(600, 700)  # more than _BLOCK_ELEMENTS
    for axes in ((0,), (1,), ()):
        whole = made(weight, axes, range_="mse").affine
        transposed = made(np.ascontiguousarray(weight.T), tuple(1 - a for a in axes), range_="mse").affine
        assert np.mean(whole.codes.load() == transposed.codes.load().T) > 0.999  # sums in another order
        assert np.allclose(whole.scale, transposed.scale.T, rtol=1e-6)


# ------------------------------------------------------------------------------------------------ odd weights
ODD = {
    "constant": np.full((3, 4), 0.7),
    "negative constant": np.full((3, 4), -2.5),
    "zero": np.zeros((3, 4)),
    "denormal": np.full((3, 4), 1e-44),
    "smallest normal": np.full((3, 4), np.finfo(np.float32).tiny),
    "huge": np.full((3, 4), 3e38),
    "huge of both signs": np.array([[3.4e38, -3.4e38, 1, 0]]),
    "one element": np.array([[5.0]]),
    "mixed": np.array([[1e-38, 1e38, -1e-40, 0]]),
}


@each_kind
@pytest.mark.parametrize("range_", ["minmax", "mse", "half-quadratic"])
@pytest.mark.parametrize("name", list(ODD))
def test_odd_weights_stay_finite_and_within_a_step(
    name: str, range_: affine.Range, signed: bool, symmetric: bool
) -> None:
    weight = ODD[name].astype(np.float32)
    for axes in ((), (0,), (1,), (0, 1)):
        found = made(weight, axes, signed=signed, symmetric=symmetric, range_=range_).affine
        decoded = found.decode()
        assert np.isfinite(decoded).all()
        assert np.isfinite(found.scale).all()
        assert np.all(found.scale >= np.finfo(np.float32).tiny * 0.99)
        assert np.all(np.abs(decoded.astype(np.float64) - weight) <= found.scale.astype(np.float64) * 1.001)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 0, 3)])
@pytest.mark.parametrize("range_", ["minmax", "mse", "half-quadratic"])
def test_empty_weights_have_no_codes(shape: tuple[int, ...], range_: affine.Range) -> None:
    for axes in ((), (0,), tuple(range(len(shape)))):
        found = made(np.zeros(shape, np.float32), axes, range_=range_)
        assert found.affine.decode().shape == shape
        assert found.sqnr_db is None


def test_a_scalar_has_one_code() -> None:
    assert made(np.array(3.0, np.float32)).affine.decode() == pytest.approx(3.0)


def test_float64_weights_are_measured_in_their_own_precision() -> None:
    weight = noise(40, 50, dtype=np.float64)
    found = made(weight, (1,))
    assert found.affine.scale.dtype == np.float32
    assert found.noise == pytest.approx(squared_error(weight, found), rel=1e-6)
    assert np.array_equal(found.affine.codes.load(), made(weight.astype(np.float32), (1,)).affine.codes.load())


def test_the_same_weight_gives_the_same_codes() -> None:
    weight = noise(300, 500)
    one, other = (made(weight.copy(), (1,), range_="mse") for _ in range(2))
    assert np.array_equal(one.affine.codes.load(), other.affine.codes.load())
    assert np.array_equal(one.affine.scale, other.affine.scale)
    assert (one.signal, one.noise) == (other.signal, other.noise)


def test_the_weight_itself_is_not_touched() -> None:
    weight = noise(30, 40)
    weight.flags.writeable = False
    for axes in AXES[:3]:
        made(weight, axes[:1], range_="mse", symmetric=False)
    assert np.array_equal(weight, noise(30, 40))


def test_the_quality_is_what_uniform_rounding_noise_predicts() -> None:
    found = made(noise(1000, 1000), range_="minmax")
    step = float(found.affine.scale.item())
    assert found.sqnr_db is not None
    assert found.sqnr_db == pytest.approx(10 * math.log10(12 / step**2), abs=0.1)
    exact = made(np.float32([[1, -1, 0]]))
    assert exact.sqnr_db is None or exact.sqnr_db > 140


@each_kind
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_no_code_decodes_to_more_than_a_short_type_can_hold(dtype: type, signed: bool, symmetric: bool) -> None:
    largest = float(ml_dtypes.finfo(dtype).max)
    weight = np.where(noise(20, 30) > 0, largest, -largest).astype(np.float32)
    found = quantize(
        weight, (1,), bits=8, signed=signed, symmetric=symmetric, range_="minmax", store=Store(), dtype=np.dtype(dtype)
    )
    decoded = found.affine.decode().astype(dtype).astype(np.float64)
    assert np.isfinite(decoded).all()
    # an asymmetric range has no code for one of its ends: it is off by a step
    assert np.abs(decoded - weight).max() <= (0.01 if symmetric else 1.01) * largest / 127
    assert found.noise == pytest.approx(float(np.sum((decoded - weight) ** 2)), rel=1e-4, abs=1e-6 * largest**2)


def test_the_error_of_short_types_includes_their_rounding() -> None:
    weight = noise(20, 30).astype(ml_dtypes.bfloat16).astype(np.float32)
    options = {"bits": 8, "signed": True, "symmetric": True, "range_": "minmax", "store": Store()}
    plain, rounded = (quantize(weight, (1,), **options, dtype=dtype) for dtype in (None, np.dtype(ml_dtypes.bfloat16)))
    decoded = rounded.affine.decode().astype(ml_dtypes.bfloat16).astype(np.float64)
    assert rounded.noise == pytest.approx(float(np.sum((weight - decoded) ** 2)), rel=1e-6)
    assert rounded.noise > 1.05 * plain.noise
