"""A second scale helps weights with outliers along an input axis, and others stay as they were."""

import numpy as np
import pytest

from nncompress.numerics.affine import Quantized, Range, quantize
from nncompress.numerics.equalise import LEAST_GAIN_DB, WORTH_TRYING_DB, equalised, input_factor
from nncompress.numerics.held import Store
from tests.models import noise


def plain(weight: np.ndarray, axes: tuple[int, ...] = (1,), range_: Range = "mse") -> Quantized:
    return quantize(weight, axes, bits=8, signed=True, symmetric=True, range_=range_, store=Store())


def second(weight: np.ndarray, axes: tuple[int, ...] = (1,), axis: int = 0, range_: Range = "mse") -> Quantized:
    return equalised(weight, plain(weight, axes, range_), axis, lambda other, importance: plain(other, axes, range_))


def outliers(*shape: int) -> np.ndarray:
    """Inputs 3 and 40 have weights a hundred times as large."""
    weight = noise(*shape)
    weight[[3, 40]] *= 100
    return weight


@pytest.mark.parametrize("axis", [0, 1])
def test_outliers_along_an_input_axis_get_a_second_scale(axis: int) -> None:
    weight = outliers(64, 200) if axis == 0 else np.ascontiguousarray(outliers(64, 200).T)
    before, after = plain(weight, (1 - axis,)), second(weight, (1 - axis,), axis)
    factor = after.affine.input_scale
    assert factor is not None
    assert factor.shape == tuple(64 if a == axis else 1 for a in range(2))
    assert before.sqnr_db is not None
    assert before.sqnr_db < WORTH_TRYING_DB
    assert after.sqnr_db is not None
    assert after.sqnr_db > before.sqnr_db + LEAST_GAIN_DB
    codes = after.affine.codes.load().astype(np.float32)
    assert np.array_equal(after.affine.decode(), codes * after.affine.scale * factor)
    error = float(np.sum((weight - after.affine.decode()).astype(np.float64) ** 2))
    assert after.noise == pytest.approx(error, rel=1e-3)
    assert after.signal == before.signal


def test_each_element_is_off_by_at_most_half_its_own_step_where_nothing_is_clipped() -> None:
    weight = outliers(64, 200)
    found = second(weight, range_="minmax").affine
    assert found.input_scale is not None
    assert np.all(np.abs(weight - found.decode()) <= 0.5 * found.scale * found.input_scale * (1 + 1e-4))


@pytest.mark.parametrize(
    "weight",
    [noise(64, 200), np.zeros((64, 200), np.float32), outliers(64, 200)[:7], np.zeros((64, 0), np.float32)],
    ids=["no outliers", "zero", "short axis", "empty"],
)
def test_other_weights_stay_as_they_were(weight: np.ndarray) -> None:
    start = plain(weight)
    assert equalised(weight, start, 0, plain) is start


def test_the_gain_must_be_worth_the_bytes_of_the_second_scale() -> None:
    narrow = outliers(64, 2)  # the second scale would be as large as the codes twice over
    assert second(narrow).affine.input_scale is None


def test_the_factor_is_the_square_root_of_the_largest_with_mean_one() -> None:
    weight = noise(9, 50) * np.float32(2.0) ** np.arange(9)[:, None].astype(np.float32)
    factor = input_factor(weight, 0)
    largest = np.abs(weight).max(axis=1, keepdims=True)
    exact = np.sqrt(largest / np.exp(np.log(largest).mean()))
    assert np.allclose(factor, exact, rtol=2**-11)
    assert factor.dtype == np.float32
    assert np.array_equal(factor, factor.astype(np.float16))


def test_factors_beyond_the_reach_of_float16_are_not_rounded_to_it() -> None:
    weight = np.float32(10.0) ** (4 * np.arange(9)[:, None] - 16).astype(np.float32) * np.ones((9, 5), np.float32)
    factor = input_factor(weight, 0)
    assert factor.min() < 2**-14
    assert np.allclose(factor, np.sqrt(weight[:, :1]), rtol=1e-5)


def test_inputs_whose_weights_are_zero_have_the_factor_one() -> None:
    weight = noise(9, 5)
    weight[4] = 0
    assert input_factor(weight, 0)[4] == 1
    assert np.all(input_factor(np.zeros((9, 5), np.float32), 0) == 1)
