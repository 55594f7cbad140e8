"""What a matrix is expected to lose, against what it loses when it is really rounded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nncompress.numerics.gram import Gram
from nncompress.numerics.held import Store
from nncompress.numerics.rate_distortion import Kind, Products, error_share, losses, probed
from nncompress.numerics.shared import shared
from tests.numerics.test_second_order import gram_of, related

MATRIX = np.random.default_rng(0).standard_normal((1, 40, 24))
ROWS = related(600, 24, seed=1)
PRODUCTS = Products(gram_of(ROWS[:300]), gram_of(ROWS[300:]))


def test_the_share_of_an_error_is_that_of_the_definition() -> None:
    other = MATRIX + 0.1 * np.random.default_rng(1).standard_normal(MATRIX.shape)
    h = PRODUCTS.judging.own[0]
    moved = (other - MATRIX)[0]
    share = np.trace(moved @ h @ moved.T) / np.trace(MATRIX[0] @ h @ MATRIX[0].T)
    assert error_share(MATRIX, other, PRODUCTS) == pytest.approx(share, rel=1e-9)
    plain = np.square(moved).sum() / np.square(MATRIX).sum()
    assert error_share(MATRIX, other, None) == pytest.approx(plain, rel=1e-12)


def test_fewer_bits_and_more_zeros_lose_more() -> None:
    by_bits = losses(MATRIX, PRODUCTS, [Kind(bits, 0.0) for bits in (2, 3, 4, 6, 8)])
    assert all(first.loss > 2 * second.loss for first, second in pairwise(by_bits))
    by_zeros = losses(MATRIX, PRODUCTS, [Kind(4, share) for share in (0.3, 0.6, 0.9)])
    assert all(first.loss < second.loss for first, second in pairwise(by_zeros))
    assert all(each.density <= 1 - each.kind.sparsity + 1e-3 for each in by_zeros)


def test_what_inputs_make_up_for_is_not_lost() -> None:
    dense, sparse = Kind(3, 0.0), Kind(4, 0.5)
    known = {each.kind: each.loss for each in losses(MATRIX, PRODUCTS, [dense, sparse])}
    plain = {each.kind: each.loss for each in losses(MATRIX, None, [dense])}
    assert known[dense] < plain[dense]
    magnitude = np.where(np.abs(MATRIX) >= np.median(np.abs(MATRIX)), MATRIX, 0)
    assert known[sparse] < error_share(MATRIX, magnitude, PRODUCTS)


def test_of_a_table_with_rows_of_little_power_most_may_become_zero() -> None:
    """Three rows of four are small, as those of rare words: without them next to nothing is lost."""
    table = MATRIX * np.where(np.arange(40) % 4 == 0, 1.0, 0.02)[:, None]
    dense, sparse, most = losses(table, None, [Kind(4, 0.0), Kind(4, 0.7), Kind(4, 0.9)])
    assert dense.loss < sparse.loss < 1.1 * dense.loss
    assert most.loss > 5 * dense.loss
    smallest = np.where(np.abs(table) > np.quantile(np.abs(table), 0.9), table, 0)
    assert most.loss >= np.square(table - smallest).sum() / np.square(table).sum()


def test_a_matrix_of_zeros_loses_nothing() -> None:
    assert losses(np.zeros((1, 3, 4)), None, [Kind(2, 0.0)])[0].loss == 0


def test_what_few_inputs_say_is_judged_by_others() -> None:
    """Twelve rows of 24 inputs: what fits itself to them alone is worth less elsewhere."""
    few, others = gram_of(ROWS[:12]), gram_of(ROWS[12:])
    kinds = [Kind(4, 0.5)]
    (flattered,) = losses(MATRIX, Products(few, few), kinds)
    (honest,) = losses(MATRIX, Products(few, others), kinds)
    assert honest.loss > 1.2 * flattered.loss


def test_a_probe_says_what_it_loses() -> None:
    made = probed(MATRIX, PRODUCTS)
    assert made.loss == pytest.approx(error_share(MATRIX, made.values, PRODUCTS))
    assert made.loss < probed(MATRIX, None).loss
    assert len(np.unique(made.values[0, 0])) <= 8


def test_shared_values_lose_what_they_really_lose() -> None:
    """Of a matrix with large values, as many are."""
    tailed = np.random.default_rng(2).standard_t(3, (1, 40, 60))
    even, table = losses(tailed, None, [Kind(5, 0.0), Kind(5, 0.0, shared=True)])
    made = shared(tailed[0].astype(np.float32), (0,), count=32, store=Store())
    assert table.loss == pytest.approx(made.noise / made.signal, rel=1e-5)
    assert table.loss < 0.5 * even.loss
    assert not table.shifted


def test_among_zeros_shared_values_lose_less_as_well() -> None:
    kinds = [Kind(3, share, shared) for share in (0.3, 0.6) for shared in (False, True)]
    lost = {(each.kind.sparsity, each.kind.shared): each for each in losses(MATRIX, PRODUCTS, kinds)}
    for share in (0.3, 0.6):
        assert lost[share, True].loss < lost[share, False].loss
        assert lost[share, True].density == lost[share, False].density


def test_a_table_is_not_judged_by_the_few_values_that_it_fits() -> None:
    """As in convolutions of one channel each: 600 outputs of nine inputs, of which 64 are looked at for all else."""
    depthwise = np.random.default_rng(3).standard_normal((600, 1, 9))
    grams = Gram(50, np.tile(np.eye(9) * 50, (600, 1, 1)), None, np.zeros((600, 9)), np.zeros((600, 9)))
    (lost,) = losses(depthwise, Products(grams, grams), [Kind(7, 0.0, shared=True)])
    made = shared(depthwise[:, 0].astype(np.float32), (0,), count=128, store=Store())
    assert lost.loss == pytest.approx(made.noise / made.signal, rel=0.3)
