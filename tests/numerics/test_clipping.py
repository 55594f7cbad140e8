"""The range that is clipped where the squared error is least: never much worse than the full one or the best one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics import clipping, grid
from nncompress.numerics.grid import levels

from .test_affine import each_kind, made, squared_error

KINDS = list(itertools.product([True, False], [True, False]))  # signed, symmetric
slow = settings(max_examples=60, deadline=None, derandomize=True)


@slow
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 200)), elements=st.floats(-1e6, 1e6, width=32)),
    st.sampled_from(KINDS),
    st.sampled_from([8, 4]),
)
def test_the_mse_range_never_has_a_larger_error_than_the_full_one_by_more_than_the_models_inaccuracy(
    weight: np.ndarray, kind: tuple[bool, bool], bits: int
) -> None:
    errors = {
        range_: squared_error(weight, made(weight, (0,), bits=bits, signed=kind[0], symmetric=kind[1], range_=range_))
        for range_ in ("minmax", "mse")
    }
    # Rounding is modelled as uniform noise of step^2 / 12 a value; on few or discrete values it is anything from 0 to
    # step^2 / 4, so the most that the model can lose is a quarter of a full step squared for every value.
    step = made(weight, (0,), bits=bits, signed=kind[0], symmetric=kind[1]).affine.scale.astype(np.float64)
    assert errors["mse"] <= errors["minmax"] + np.sum(step**2) / 4 * weight.shape[1] * (1 + 1e-5)


DISTRIBUTIONS = {
    "normal": lambda rng: rng.standard_normal(4000),
    "Laplace": lambda rng: rng.laplace(size=4000),
    "Student": lambda rng: rng.standard_t(4, 4000),
    "uniform": lambda rng: rng.uniform(-1, 1, 4000),
    "one outlier": lambda rng: np.append(rng.standard_normal(3999), 30),
    "one-sided": lambda rng: np.abs(rng.standard_normal(4000)),
}


@each_kind
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_mse_range_is_close_to_the_best_of_a_dense_search(
    distribution: str, bits: int, signed: bool, symmetric: bool
) -> None:
    weight = DISTRIBUTIONS[distribution](np.random.default_rng(5)).astype(np.float32).reshape(1, -1)
    kind = {"bits": bits, "signed": signed, "symmetric": symmetric}
    full = squared_error(weight, made(weight, (), **kind))  # type: ignore[arg-type]
    found = squared_error(weight, made(weight, (), range_="mse", **kind))  # type: ignore[arg-type]
    low, high = clipping.value_range(weight.reshape(1, 1, -1))
    low, high = clipping.mirrored(low, high) if symmetric else (low, high)
    ends = levels(bits, signed=signed, symmetric=symmetric)
    best = full
    for factor in np.linspace(0.1, 1, 400):
        scale, zero = grid.affine_parameters(grid.Grid(*ends, low * factor, high * factor, symmetric))
        codes = np.clip(np.rint(weight / scale) + zero, *ends)
        best = min(best, float(np.sum((weight.astype(np.float64) - (codes - zero) * scale.astype(np.float64)) ** 2)))
    assert found <= full * 1.04  # _WORTH: no gain below 4 % is looked for
    assert found <= best * 1.08


@pytest.mark.parametrize("size", [20, 100, 1000, 5000])
def test_eight_bits_lose_no_more_than_a_few_percent_to_the_model_of_rounding(size: int) -> None:
    rng = np.random.default_rng(0)
    for draw in (rng.standard_normal, lambda shape: rng.standard_t(3, shape)):
        weight = draw((50, size)).astype(np.float32)
        errors = {r: (weight - made(weight, (0,), range_=r).affine.decode()) ** 2 for r in ("minmax", "mse")}
        full, clipped = (errors[r].sum(axis=1, dtype=np.float64) for r in ("minmax", "mse"))
        assert np.all(clipped <= 1.04 * full)  # _WORTH: no gain below 4 % is looked for
        assert clipped.sum() <= full.sum()


def test_four_bits_with_far_outliers_are_clipped_no_worse_than_not_at_all() -> None:
    """A step wider than most values, of which rounding costs less than modelled: fitting makes up for that."""
    weight = np.append(np.random.default_rng(0).standard_normal(4999), 300).astype(np.float32).reshape(1, -1)
    full, clipped = (squared_error(weight, made(weight, (0,), bits=4, range_=r)) for r in ("minmax", "mse"))
    assert clipped <= 1.04 * full


def best_factor(values: np.ndarray, low: float, high: float, steps: int) -> float:
    """The root of A f = sum_{u > f} m (u - f): where the largest k values lie above it, it is the largest quotient."""
    count, values = len(values), values[values != 0]
    limits = np.where(values > 0, high, low)
    ratios, masses = values / limits, limits**2
    order = np.argsort(-ratios)
    moments, totals = np.cumsum((masses * ratios)[order]), np.cumsum(masses[order])
    return float((moments / (count * (high - low) ** 2 / (12 * steps**2) + totals)).max())


@pytest.mark.parametrize("steps", [2, 6, 14, 254])
@pytest.mark.parametrize("shape", [(3000, 7, 1), (1, 7, 3000), (40, 7, 75), (1, 7, 9)])
@pytest.mark.parametrize("distribution", ["normal", "Student", "one outlier", "one-sided"])
def test_every_channel_gets_the_best_factor_however_many_are_looked_at_in_turn(
    distribution: str, shape: tuple[int, int, int], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(steps)
    draw = rng.permutation(DISTRIBUTIONS[distribution](rng))
    flat = np.resize(draw, shape).astype(np.float32) * np.geomspace(1, 100, shape[1]).astype(np.float32)[:, None]
    low, high = clipping.value_range(flat)
    monkeypatch.setattr(clipping, "_AT_A_TIME", 2 * shape[0] * shape[2])
    narrowed = clipping.narrow_range(flat, low, high, steps)
    for channel in range(shape[1]):
        best = best_factor(flat[:, channel].ravel().astype(np.float64), low[channel], high[channel], steps)
        found = narrowed[1][channel] / high[channel]
        assert found == pytest.approx(best, rel=1e-9) or (found == 1 and best > 0.98)  # _WORTH
