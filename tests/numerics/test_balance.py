"""Steps that keep errors from adding up: the best ones by brute force, and never a larger objective than before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from nncompress.numerics import balance
from nncompress.numerics.affine import quantize
from nncompress.numerics.balance import balanced
from nncompress.numerics.grid import Grid, grids_to_try
from nncompress.numerics.held import Store
from nncompress.numerics.refit import refitted
from tests.models import noise


def errors_of(flat: np.ndarray, grid: Grid, codes: np.ndarray | None = None) -> np.ndarray:
    """[before, channels, after]; `codes` (without the zero point) as None: the nearest ones."""
    step, zero = grid.step.astype(float)[:, None], grid.zero_points(grid.step)[:, None]
    if codes is None:
        codes = np.clip(np.rint(flat / step), grid.smallest - zero, grid.largest - zero)
    return np.asarray(flat - codes * step)


def objective(errors: np.ndarray, outputs: np.ndarray, ratio: float) -> np.ndarray:
    """sum e^2 + ratio (sum e)^2 of each output, by its definition."""
    owned = [errors[:, outputs == output] for output in range(outputs.max() + 1)]
    return np.array([(own**2).sum() + ratio * own.sum() ** 2 for own in owned])


def grid_for(flat: np.ndarray, bits: int, symmetric: bool) -> Grid:
    (grid,) = grids_to_try(flat, bits, True, symmetric, "mse", None)
    return refitted(flat, grid)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 3), st.just(6), st.integers(1, 9)), elements=st.floats(-1e6, 1e6, width=32)
    ),
    st.sampled_from([2, 3, 4, 6]),
    st.booleans(),
    st.sampled_from([[0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 0, 1], [0] * 6]),
    st.sampled_from([0.1, 1.0, 10.0]),
)
def test_no_output_gets_a_larger_objective_and_zero_points_stay(
    flat: np.ndarray, bits: int, symmetric: bool, outputs: list[int], ratio: float
) -> None:
    grid, parts = grid_for(flat, bits, symmetric), np.array(outputs)
    found = balanced(flat, grid, parts, ratio)
    before, after = (objective(errors_of(flat, each), parts, ratio) for each in (grid, found))
    # the ends are float64 and steps float32; codes that lie between two values may be rounded either way by that
    assert (after <= before * (1 + 1e-4) + 1e-9 * np.square(flat, dtype=np.float64).sum()).all()
    zeros = found.zero_points(found.step)
    assert ((zeros >= found.smallest) & (zeros <= found.largest)).all()
    np.testing.assert_array_equal(zeros, grid.zero_points(grid.step))


@pytest.mark.parametrize("symmetric", [True, False])
def test_steps_are_those_of_a_dense_search_for_the_same_codes(symmetric: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = noise(1, 2, 9, seed=4) + np.float32(0.2)
    grid, parts = grid_for(flat, 4, symmetric), np.zeros(2, int)
    zero = grid.zero_points(grid.step)[:, None]
    codes = np.clip(np.rint(flat / grid.step[:, None]), grid.smallest - zero, grid.largest - zero)
    factor = balance._factors(balance._sums(flat, grid), parts, 1.0)
    moved = replace(grid, low=grid.low * factor, high=grid.high * factor)
    best = min(
        objective(flat - codes * (grid.step * np.array([a, b]))[:, None], parts, 1.0)[0]
        for a in np.linspace(0.9, 1.1, 41)
        for b in np.linspace(0.9, 1.1, 41)
    )
    assert objective(errors_of(flat, moved, codes), parts, 1.0)[0] <= best * (1 + 1e-6)


def test_with_many_blocks_errors_hardly_add_up_any_more_and_cost_little() -> None:
    flat = noise(1, 64 * 16, 32)
    outputs = np.repeat(np.arange(64), 16)
    grid = grid_for(flat, 4, True)
    plain, even = (errors_of(flat, each)[0] for each in (grid, balanced(flat, grid, outputs)))
    sums = [np.square(each.reshape(64, -1).sum(axis=1)).sum() for each in (plain, even)]
    assert sums[1] < 0.2 * sums[0]  # for the same codes 1 / 17 of each sum would be left, then they are rounded again
    assert np.square(even).sum() < 1.15 * np.square(plain).sum()


def test_zeros_and_constants_keep_a_step_that_decodes_them() -> None:
    flat = np.zeros((1, 3, 8), np.float32)
    flat[0, 1], flat[0, 2] = 2.5, noise(8)
    grid = grid_for(flat, 3, True)
    found = balanced(flat, grid, np.array([0, 1, 2]))
    assert found.step[0] == grid.step[0]
    np.testing.assert_allclose(errors_of(flat, found)[0, :2], 0, atol=1e-5)


def test_outputs_count_where_no_importance_is_known() -> None:
    weight, outputs = noise(8, 6, 32), np.repeat(np.arange(8), 6)
    options = {"bits": 4, "signed": True, "symmetric": True, "store": Store()}

    def error(range_: str = "mse", **more: object) -> float:
        made = quantize(weight, (0, 1), range_=range_, **options, **more)  # type: ignore[arg-type]
        errors = (weight - made.affine.decode()).reshape(1, 48, 32).astype(np.float64)
        return float(objective(errors, outputs, 1.0).sum())

    assert error(outputs=outputs) < 0.7 * error()
    ones = np.ones((1, 1, 1), np.float32)
    assert error(outputs=outputs, importance=ones) == error(importance=ones)
    for others in ({"bits": 3}, {"symmetric": False}):
        options |= others
        assert error(outputs=outputs) == error()
    assert error("minmax", outputs=outputs) == error("minmax")
