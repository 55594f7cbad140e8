import numpy as np
import pytest

from nncompress.numerics.exact_affine import exact_affine
from tests.models import noise


def multiples(low: int, high: int, scale: np.ndarray, step: int = 1) -> np.ndarray:
    codes = step * np.clip(np.rint(noise(60, 70) * 40 / step), -(-low // step), high // step)
    return (codes.astype(np.float32) * scale + 0).astype(np.float32)


@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize(("low", "high", "step"), [(-127, 127, 1), (-128, 127, 2), (-30, 225, 1), (0, 255, 3)])
def test_scales_are_found_to_the_last_digit(axes: tuple[int, ...], low: int, high: int, step: int) -> None:
    shape = tuple(d if axis in axes else 1 for axis, d in enumerate((60, 70)))
    weight = multiples(low, high, np.random.default_rng(1).uniform(1e-4, 9, shape).astype(np.float32), step)
    weight[3] = 0
    affine = exact_affine(weight, axes, lambda: weight)
    assert affine is not None
    assert affine.scale.shape == shape
    assert affine.nonzeros == np.count_nonzero(weight)
    assert np.array_equal(affine.decode().view(np.uint32), weight.view(np.uint32))


@pytest.mark.parametrize("value", [1e-4, np.nan, np.inf, -0.0, 3e38])
def test_one_value_that_is_no_multiple_rules_them_out(value: float) -> None:
    weight = multiples(-127, 127, np.full(70, 0.03, np.float32))
    weight[5, 6] = value
    assert exact_affine(weight, (1,), lambda: weight) is None


def test_more_steps_than_a_byte_has_rule_them_out() -> None:
    weight = np.arange(-200, 200, dtype=np.float32).reshape(20, 20)
    assert exact_affine(weight, (), lambda: weight) is None
