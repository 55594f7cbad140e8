"""Channels that go: what is left against the best of all choices, and against normal equations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nncompress.numerics.elimination import Reader, eliminated
from nncompress.numerics.second_order import Quadratic
from tests.models import noise
from tests.numerics.test_second_order import gram_of, related


def reader_of(outputs: int, channels: int, width: int, seed: int, groups: int = 1) -> Reader:
    inputs = channels * width // groups
    exact = noise(groups, outputs, inputs, seed=seed).astype(np.float64)
    count = max(80, 2 * inputs)
    rows = np.stack([related(count, inputs, seed=seed + g) for g in range(groups)])
    h = rows.transpose(0, 2, 1).astype(np.float64) @ rows / count + 0.1 * np.eye(inputs)
    return Reader(exact, Quadratic(h, exact @ h), (np.arange(channels * width) // width).reshape(groups, inputs))


def best_for(reader: Reader, kept: np.ndarray) -> np.ndarray:
    """By the normal equations."""
    groups = len(reader.exact)
    z = np.zeros(reader.exact.shape)
    for g in range(groups):
        own = np.flatnonzero(np.isin(reader.channels[g], kept))
        z[g][:, own] = np.linalg.solve(reader.quadratic.h[g][np.ix_(own, own)], reader.quadratic.r[g][:, own].T).T
    return z


def lost(reader: Reader, z: np.ndarray) -> float:
    h = reader.quadratic.h
    return float((((z - reader.exact) @ h) * (z - reader.exact)).sum() / ((reader.exact @ h) * reader.exact).sum())


@pytest.mark.parametrize(("channels", "width", "groups"), [(8, 1, 1), (8, 3, 1), (8, 2, 2), (80, 4, 1)])
def test_what_stays_is_the_least_squares_fit_and_the_loss_is_what_it_says(
    channels: int, width: int, groups: int
) -> None:
    reader = reader_of(5, channels, width, seed=width, groups=groups)
    made = eliminated([reader], least=channels // 2, multiple=1, most_lost=np.inf)
    assert len(made.kept) == channels // 2
    exact = best_for(reader, made.kept)
    rounding = np.finfo(np.float32).eps * max(np.linalg.cond(h) for h in reader.quadratic.h)
    np.testing.assert_allclose(made.matrices[0], exact, atol=rounding * np.abs(exact).max())
    assert rounding < 1e-2
    assert made.lost == pytest.approx(lost(reader, exact), rel=1e-3)


@pytest.mark.parametrize("width", [1, 3])
def test_each_that_goes_is_the_one_that_costs_least_by_then(width: int) -> None:
    reader = reader_of(4, 12, width, seed=5 + width)
    kept = list(range(12))
    while len(kept) > 4:
        left = {gone: np.array([each for each in kept if each != gone]) for gone in kept}
        kept.remove(min(left, key=lambda gone: lost(reader, best_for(reader, left[gone]))))
    assert eliminated([reader], least=4, multiple=1, most_lost=np.inf).kept.tolist() == kept


def test_the_choice_is_near_the_best_of_all() -> None:
    """All 70 that keep 4 of 8, for 20 matrices; by chance it would be in the middle of them."""
    ranks = []
    for seed in range(20):
        reader = reader_of(3, 8, 1, seed=seed)
        made = eliminated([reader], least=4, multiple=1, most_lost=np.inf)
        losses = [lost(reader, best_for(reader, np.array(kept))) for kept in itertools.combinations(range(8), 4)]
        ranks.append(sum(each < made.lost * (1 - 1e-4) for each in losses))
    assert np.mean(ranks) < 2


def test_no_more_is_lost_than_may_be_and_counts_are_multiples() -> None:
    reader = reader_of(5, 16, 1, seed=3)
    for most in (0.01, 0.1, 0.3):
        made = eliminated([reader], least=4, multiple=4, most_lost=most)
        assert made.lost <= most
        assert len(made.kept) % 4 == 0
        if len(made.kept) > 4:
            assert eliminated([reader], len(made.kept) - 4, 1, np.inf).lost > most


def test_of_several_readers_none_loses_more_than_it_may() -> None:
    readers = [reader_of(5, 12, 1, seed=1), reader_of(2, 12, 3, seed=2)]
    made = eliminated(readers, least=1, multiple=1, most_lost=0.2)
    assert 1 < len(made.kept) < 12
    for reader, matrix in zip(readers, made.matrices, strict=True):
        assert lost(reader, matrix) <= 0.2 * (1 + 1e-3)


def test_a_channel_that_another_repeats_goes_without_loss() -> None:
    rows = related(60, 6, seed=0)
    twice = np.concatenate([rows, 2 * rows], axis=1)
    exact = noise(1, 4, 12, seed=1).astype(np.float64)
    made = eliminated(
        [Reader(exact, Quadratic.of(exact, gram_of(twice), damping=1e-4), np.arange(12)[None])],
        1,
        1,
        most_lost=0.005,
    )
    assert len(made.kept) <= 6
