"""Truncated factors are the best ones of their rank: their error is the tail of the singular values."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics.low_rank import factors, largest_and_sqnr_db, spectrum
from tests.models import noise

EPS = float(np.finfo(np.float32).eps)
SHAPES = [(20, 20), (12, 40), (40, 12), (1, 9), (9, 1), (1, 1), (5, 5000)]
each_shape = pytest.mark.parametrize("shape", SHAPES)


@each_shape
def test_the_spectrum_is_that_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    matrix = noise(*shape)
    exact = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    found = spectrum(matrix)
    assert np.allclose(found.squared, exact**2, rtol=0, atol=1e-12 * exact[0] ** 2)
    assert found.shape == shape
    assert found.energy == pytest.approx(float(np.sum(matrix.astype(np.float64) ** 2)), rel=1e-12)


@each_shape
def test_the_error_of_a_rank_is_the_tail_of_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = noise(*shape)
    exact = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    found = spectrum(matrix)
    for rank in sorted({1, min(shape) // 2 or 1, min(shape)}):
        a, b = factors(matrix, found, rank)
        assert (a.shape, b.shape) == ((shape[0], rank), (rank, shape[1]))
        assert (a.dtype, b.dtype) == (np.float32, np.float32)
        error = np.linalg.norm(matrix - a.astype(np.float64) @ b.astype(np.float64))
        tail = float(np.sqrt(np.sum(exact[rank:] ** 2)))
        rounding = 2 * EPS * np.linalg.norm(a) * np.linalg.norm(b)  # the factors are stored as float32
        assert abs(error - tail) <= rounding
        if tail > 1e-6:
            assert found.sqnr_db(rank) == pytest.approx(20 * np.log10(np.linalg.norm(matrix) / tail), abs=1e-3)


@each_shape
def test_singular_values_are_split_evenly_between_the_factors(shape: tuple[int, int]) -> None:
    matrix, rank = noise(*shape), max(1, min(shape) // 2)
    a, b = factors(matrix, spectrum(matrix), rank)
    assert np.allclose(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=1), rtol=1e-5)


def test_a_matrix_of_low_rank_is_found_exactly() -> None:
    matrix = noise(30, 3) @ noise(3, 50, seed=1)
    found = spectrum(matrix)
    assert found.rank_for_energy(0.999999) == 3
    a, b = factors(matrix, found, 3)
    assert np.allclose(a @ b, matrix, atol=1e-5)


def test_ranks_beyond_the_rank_of_the_matrix_stay_finite() -> None:
    matrix = np.outer(np.arange(6), np.ones(5)).astype(np.float32)
    a, b = factors(matrix, spectrum(matrix), 5)
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()
    assert np.allclose(a @ b, matrix, atol=1e-5)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 0.999), st.integers(0, 100))
def test_the_rank_for_an_energy_is_the_least_that_keeps_it(m: int, n: int, share: float, seed: int) -> None:
    squared = np.linalg.svd(noise(m, n, seed=seed).astype(np.float64), compute_uv=False) ** 2
    rank = spectrum(noise(m, n, seed=seed)).rank_for_energy(share)
    assert 1 <= rank <= min(m, n)
    assert squared[:rank].sum() >= share * squared.sum() * (1 - 1e-9)
    assert squared[: rank - 1].sum() < share * squared.sum() * (1 + 1e-9)


def test_nothing_is_lost_at_full_rank() -> None:
    assert spectrum(noise(4, 6)).sqnr_db(4) is None


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (5000, 9)])
def test_the_error_of_rounded_factors_is_measured_on_themselves(shape: tuple[int, int]) -> None:
    matrix = noise(*shape)
    a, b = (factor.astype(np.float16) for factor in factors(matrix, spectrum(matrix), 4))
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    noise_ = np.sum((matrix - wide_a @ wide_b) ** 2)
    largest, sqnr_db = largest_and_sqnr_db(matrix, a, b)
    assert sqnr_db == pytest.approx(10 * np.log10(np.sum(matrix.astype(np.float64) ** 2) / noise_), abs=1e-6)
    assert largest == pytest.approx(np.max(np.abs(wide_a) @ np.abs(wide_b)))
    ones = np.ones((3, 1)), np.full((1, 2), 2.0)
    assert largest_and_sqnr_db(np.full((3, 2), 2.0), *ones) == (2.0, None)
