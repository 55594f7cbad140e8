"""Factors that keep what a matrix computes: no others of their rank do better, and what they lose is what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics.gram import GramSum
from nncompress.numerics.low_rank import factors, spectrum
from nncompress.numerics.output_low_rank import output_spectrum
from nncompress.numerics.second_order import Quadratic
from tests.models import noise

SHAPES = [(12, 7), (7, 12), (9, 9), (8, 1), (1, 8)]
each_shape = pytest.mark.parametrize("shape", SHAPES)


def quadratic_for(matrix: np.ndarray, seed: int = 5, *, crossed: bool = False) -> Quadratic:
    """W [K, N] behind inputs that have much to do with each other."""
    inputs = matrix.shape[0]
    now, before = ((noise(1, 40, inputs, seed=s) @ noise(inputs, inputs, seed=seed)) for s in (seed + 1, seed + 2))
    gram = GramSum(1, inputs, crossed=crossed)
    gram.add(now, now + before / 4 if crossed else now)
    return Quadratic.of(matrix.T[None], gram.total())


def error(quadratic: Quadratic, matrix: np.ndarray, product: np.ndarray) -> float:
    """Of x A B against what is best for any rank, E|.|^2."""
    best = np.linalg.solve(quadratic.h[0], quadratic.r[0].T)
    apart = best - product.astype(np.float64)
    return float(np.einsum("ij,ik,kj->", apart, quadratic.h[0], apart))


@each_shape
@pytest.mark.parametrize("crossed", [False, True])
def test_a_rank_loses_the_powers_of_the_components_left_out(shape: tuple[int, int], crossed: bool) -> None:
    matrix = noise(*shape)
    quadratic = quadratic_for(matrix, crossed=crossed)
    found = output_spectrum(quadratic)
    power = error(quadratic, matrix, np.zeros(shape))
    assert found.svd.energy == pytest.approx(power, rel=1e-9)
    for rank in range(1, min(shape) + 1):
        a, b = found.factors(rank)
        assert (a.shape, b.shape, a.dtype, b.dtype) == ((shape[0], rank), (rank, shape[1]), np.float32, np.float32)
        lost = error(quadratic, matrix, a.astype(np.float64) @ b)
        assert lost == pytest.approx(found.svd.squared[rank:].sum(), abs=1e-9 * power, rel=1e-4)
        assert np.allclose(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=1), rtol=1e-5)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.sampled_from(SHAPES), st.integers(1, 6), st.integers(0, 1000))
def test_no_other_matrix_of_the_rank_does_better(shape: tuple[int, int], rank: int, seed: int) -> None:
    rank = min(rank, *shape)
    matrix = noise(*shape, seed=seed)
    quadratic = quadratic_for(matrix, seed)
    a, b = (factor.astype(np.float64) for factor in output_spectrum(quadratic).factors(rank))
    least = error(quadratic, matrix, a @ b)
    plain = factors(matrix, spectrum(matrix), rank)
    slack = 1e-9 * error(quadratic, matrix, np.zeros(shape))
    assert least <= error(quadratic, matrix, plain[0].astype(np.float64) @ plain[1]) + slack
    for size in (1.0, 1e-1, 1e-2, 1e-3):
        near = a + size * noise(*a.shape, seed=seed + 1), b + size * noise(*b.shape, seed=seed + 2)
        assert least <= error(quadratic, matrix, near[0] @ near[1]) + slack
        given_a = near[0] @ np.linalg.lstsq(near[0], matrix.astype(np.float64), rcond=None)[0]
        assert least <= error(quadratic, matrix, given_a) + slack


@each_shape
def test_inputs_that_have_nothing_to_do_with_each_other_give_the_plain_factors(shape: tuple[int, int]) -> None:
    matrix = noise(*shape)
    quadratic = Quadratic(np.eye(shape[0])[None], matrix.T[None].astype(np.float64))
    found, plain, rank = output_spectrum(quadratic), spectrum(matrix), min(3, *shape)
    assert np.allclose(found.svd.squared, plain.squared)
    ours, theirs = found.factors(rank), factors(matrix, plain, rank)
    assert np.allclose(ours[0] @ ours[1], theirs[0] @ theirs[1], atol=1e-5)


def test_ranks_beyond_the_rank_of_the_matrix_stay_finite() -> None:
    matrix = np.outer(np.arange(6), np.ones(5)).astype(np.float32)
    a, b = output_spectrum(quadratic_for(matrix)).factors(5)
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()
    assert np.allclose(a @ b, matrix, atol=1e-4)


def test_blocks_of_inputs_are_a_matrix_with_nothing_between_them() -> None:
    matrix, parts = noise(12, 7), [quadratic_for(noise(4, 7, seed=place), place) for place in range(3)]
    h = np.zeros((1, 12, 12))
    for place, part in enumerate(parts):
        h[0, 4 * place : 4 * place + 4, 4 * place : 4 * place + 4] = part.h[0]
    exact = matrix.T[None].astype(np.float64)
    whole = output_spectrum(Quadratic(h, exact @ h))
    blocks = np.concatenate([part.h for part in parts])
    found = output_spectrum(Quadratic(blocks, matrix.reshape(3, 4, 7).transpose(0, 2, 1) @ blocks))
    assert found.svd.squared == pytest.approx(whole.svd.squared)
    ours, theirs = found.factors(3), whole.factors(3)
    assert ours[0] @ ours[1] == pytest.approx(theirs[0] @ theirs[1], abs=1e-5)
