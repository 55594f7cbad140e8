"""Second-order rounding against brute force, the textbook form of GPTQ, and its own definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from nncompress.numerics.gram import Gram, GramSum
from nncompress.numerics.second_order import DAMPING, SHRUNK, Codes, Factor, Quadratic, descended, fed_back, rounded
from tests.models import noise


def related(rows: int, inputs: int, seed: int = 0) -> np.ndarray:
    """Inputs [rows, inputs] that have much to do with each other."""
    return (noise(rows, inputs, seed=seed) @ noise(inputs, inputs, seed=seed + 1)).astype(np.float32)


def gram_of(now: np.ndarray, before: np.ndarray | None = None) -> Gram:
    total = GramSum(1, now.shape[1], crossed=before is not None)
    total.add(now[None], (now if before is None else before)[None])
    return total.total()


def codes_for(matrix: np.ndarray, bits: int) -> Codes:
    most = 2 ** (bits - 1) - 1
    step = (np.abs(matrix).max(axis=2, keepdims=True) / most + np.zeros_like(matrix)).transpose(0, 2, 1)
    return Codes(step, np.zeros_like(step), -most, most)


def nearest(matrix: np.ndarray, codes: Codes) -> np.ndarray:
    return np.stack([codes.nearest(matrix[:, :, j], j) for j in range(matrix.shape[2])], axis=2)


def by_feedback(quadratic: Quadratic, codes: Codes) -> np.ndarray:
    return fed_back(Factor.of(quadratic.h, np.float64), quadratic.r, codes)


def test_the_quadratic_is_the_error_of_the_output_shrunk_and_damped() -> None:
    matrix, other = noise(1, 3, 5).astype(np.float64), noise(1, 3, 5, seed=4).astype(np.float64)
    before, now = related(200, 5), related(200, 5, seed=7)
    quadratic = Quadratic.of(matrix, gram_of(now, before), crossed=1.0)
    keep, squares = 200 / (200 + SHRUNK * 5), np.square(now, dtype=np.float64).mean(axis=0)

    def error(q: np.ndarray) -> float:
        moved, apart = before @ matrix[0].T - now @ q[0].T, np.square(q - matrix).sum(axis=(0, 1))
        damped = apart @ ((1 - keep) * squares + DAMPING * squares.mean())
        return float(keep * np.square(moved).sum() / 200 + damped)

    assert quadratic.value(other) - quadratic.value(matrix) == pytest.approx(error(other) - error(matrix), rel=1e-4)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([2, 3, 8]))
def test_descent_never_rises_and_stays_on_the_codes(seed: int, bits: int) -> None:
    matrix = noise(2, 4, 9, seed=seed).astype(np.float64)
    rows = related(30, 18, seed=seed)
    total = GramSum(2, 9, crossed=False)
    total.add(rows.reshape(30, 2, 9).transpose(1, 0, 2), rows.reshape(30, 2, 9).transpose(1, 0, 2))
    quadratic, codes = Quadratic.of(matrix, total.total()), codes_for(matrix, bits)
    for start in (nearest(matrix, codes), by_feedback(quadratic, codes)):
        made = descended(quadratic.h, quadratic.r, start, codes)
        assert quadratic.value(made) <= quadratic.value(start) + 1e-9 * abs(quadratic.value(start))
        whole = made / codes.step.transpose(0, 2, 1)
        assert np.abs(whole - np.rint(whole)).max() < 1e-9
        assert np.abs(np.rint(whole)).max() <= codes.largest


def test_it_finds_codes_near_the_best_of_all() -> None:
    """All 4^6 of them tried, for ten rows."""
    matrix = noise(1, 10, 6, seed=3).astype(np.float64)
    codes = Codes(np.full((1, 6, 10), 0.8), np.full((1, 6, 10), 2.0), 0, 3)
    quadratic = Quadratic.of(matrix, gram_of(related(50, 6, seed=5)))
    values = (np.array(list(itertools.product(range(4), repeat=6))) - 2) * 0.8
    h, r = quadratic.h[0], quadratic.r[0]
    all_ = np.einsum("ci,ij,cj->c", values, h, values)[:, None] - 2 * values @ r.T
    constant = np.einsum("oi,ij,oj->o", matrix[0], h, matrix[0])

    def errors(q: np.ndarray) -> np.ndarray:
        found: np.ndarray = ((q[0] @ h - 2 * r) * q[0]).sum(axis=1) + constant
        return found

    best = all_.min(axis=0) + constant
    plain, made = errors(nearest(matrix, codes)), errors(rounded(quadratic, codes, nearest(matrix, codes)))
    assert (made >= best * (1 - 1e-6)).all()
    assert np.mean(made) < 1.3 * np.mean(best)
    assert np.mean(plain) > 2 * np.mean(best)


def test_feedback_is_gptq() -> None:
    """With the Cholesky factor of the inverse, column by column, as in the paper."""
    matrix = noise(1, 4, 150, seed=1).astype(np.float64)
    quadratic, codes = Quadratic.of(matrix, gram_of(related(400, 150, seed=2))), codes_for(matrix, 4)
    h = quadratic.h[0]
    order = np.argsort(np.diag(h), kind="stable")[::-1]
    upper = np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)])).T
    left, made = matrix[0][:, order].copy(), np.empty((4, 150))
    for place, j in enumerate(order):
        made[:, j] = codes.nearest(left[None, :, place], int(j))[0]
        error = (left[:, place] - made[:, j]) / upper[place, place]
        left[:, place:] -= np.outer(error, upper[place, place:])
    assert by_feedback(quadratic, codes)[0] == pytest.approx(made, abs=1e-9)


def test_neither_threads_nor_other_outputs_change_a_digit() -> None:
    matrix = noise(1, 600, 20, seed=2).astype(np.float64)
    gram, codes = gram_of(related(100, 20)), codes_for(matrix, 3)
    quadratic, start = Quadratic.of(matrix, gram), nearest(matrix, codes)
    made = rounded(quadratic, codes, start)
    assert np.array_equal(made, rounded(quadratic, codes, start, threads=3))
    assert (quadratic.more(made, start) <= 0).all()
    assert quadratic.value(made) < quadratic.value(start)


def test_grams_of_parts_are_those_of_the_whole() -> None:
    rows, others = related(3000, 4), related(3000, 4, seed=3)
    parts = [gram_of(rows[:1000], others[:1000]), gram_of(rows[1000:], others[1000:])]
    whole = parts[0].with_(parts[1])
    exact, beside = rows.astype(np.float64), others.astype(np.float64)
    bound = 3001 * float(np.finfo(np.float32).eps)  # float32 products and sums
    assert whole.count == 3000
    assert whole.cross is not None
    assert (np.abs(whole.own[0] - exact.T @ exact) <= bound * (np.abs(exact).T @ np.abs(exact))).all()
    assert (np.abs(whole.cross[0] - beside.T @ exact) <= bound * (np.abs(beside).T @ np.abs(exact))).all()
    total = GramSum(1, 4, crossed=True, threads=2)
    for place in range(0, 3000, 300):
        total.add(rows[None, place : place + 300], others[None, place : place + 300])
    again = total.total()
    assert again.count == 3000
    assert np.array_equal(again.own, total.total().own)
    assert again.own[0] == pytest.approx(whole.own[0], rel=1e-4, abs=1e-2)
    assert again.mean[0] == pytest.approx(exact.sum(axis=0))
    both = gram_of(rows).with_(gram_of(rows, others))
    assert both.cross is not None
    assert both.cross[0] == pytest.approx(exact.T @ exact + beside.T @ exact, rel=1e-3, abs=1e-1)
