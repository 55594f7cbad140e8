"""Half precision: rounding to nearest, nothing becomes infinite, and the stated error is the real one."""

import ml_dtypes
import numpy as np
import pytest

from nncompress.numerics.half import HALVES, largest_error, rounded_to_half
from nncompress.numerics.held import Store
from tests.models import noise


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_rounded_to_nearest_and_the_error_is_that_of_the_definition(name: str, dtype: type) -> None:
    weight = noise(300, 70, dtype=dtype)
    weight[::7] = 0
    half, sqnr_db = rounded_to_half(weight, HALVES[name], Store())
    expected = weight.astype(HALVES[name])
    assert np.array_equal(half.decode(), expected.astype(np.float32))
    error = weight.astype(np.float64) - expected.astype(np.float64)
    assert sqnr_db == pytest.approx(10 * np.log10(np.sum(weight.astype(np.float64) ** 2) / np.sum(error**2)), abs=1e-3)
    assert half.nonzeros == np.count_nonzero(weight)
    places = np.array([0, 7, 70, 20_999])
    assert np.array_equal(half.decode_at(places), half.decode().reshape(-1)[places])
    assert [*half.arrays()] == ["values"]


def test_nothing_is_lost_of_values_that_have_few_digits() -> None:
    assert rounded_to_half(np.array([[1.5, -2.0, 0.0]], np.float32), HALVES["float16"], Store())[1] is None


@pytest.mark.parametrize(("largest", "fits"), [(65504.0, True), (65519.0, True), (65520.0, False), (1e6, False)])
def test_what_float16_cannot_hold_is_an_error(largest: float, fits: bool) -> None:
    weight = np.array([1.0, -largest], np.float32)
    if fits:
        half, _ = rounded_to_half(weight, HALVES["float16"], Store())
        assert half.decode().tolist() == [1.0, -65504.0]
    else:
        with pytest.raises(OverflowError, match="beyond the range of float16"):
            rounded_to_half(weight, HALVES["float16"], Store())
    assert np.isfinite(rounded_to_half(weight, np.dtype(ml_dtypes.bfloat16), Store())[0].decode()).all()


def test_the_largest_error_is_that_of_one_value_in_its_own_unit() -> None:
    before, after, units = noise(40), noise(40, seed=1), np.abs(noise(40, seed=2))
    expected = max(abs(float(a) - float(b)) / float(u) for a, b, u in zip(after, before, units, strict=True))
    assert largest_error(before, after, units) == pytest.approx(expected, rel=1e-12)
    zeros = np.zeros(2, np.float32)
    assert largest_error(zeros, zeros, zeros) == 0
    assert largest_error(np.array([1.0, 1e-9]), np.array([1.0, 0]), np.array([1.0, 0])) == np.inf
