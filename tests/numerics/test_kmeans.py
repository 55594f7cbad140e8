"""The division is the best one by brute force where that can be had, and no worse than Lloyd's from many starts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nncompress.numerics.kmeans import best_centers, histogram_of, nearest
from tests.models import noise


def error(values: np.ndarray, centers: np.ndarray, importance: np.ndarray | float = 1.0) -> float:
    distances = np.abs(values.reshape(-1, 1).astype(float) - centers.astype(float)).min(axis=1)
    return float((distances**2 * np.broadcast_to(importance, values.shape).reshape(-1)).sum())


def lloyd(values: np.ndarray, centers: np.ndarray, importance: np.ndarray, rounds: int = 200) -> np.ndarray:
    for _ in range(rounds):
        owner = np.abs(values[:, None] - centers).argmin(axis=1)
        mass = np.bincount(owner, importance, len(centers))
        means = np.bincount(owner, importance * values, len(centers)) / np.where(mass, mass, 1)
        centers = np.sort(np.where(mass, means, centers))
    return centers


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_few_values_are_divided_as_well_as_can_be(k: int, weighted: bool) -> None:
    for seed in range(10):
        values = np.sort(noise(12, seed=seed))
        importance = np.abs(noise(12, seed=seed + 50)) + np.float32(0.1) if weighted else np.ones(12, np.float32)
        least = min(
            sum(
                float((v * (w - np.average(w, weights=v)) ** 2).sum())
                for w, v in zip(np.split(values, ends), np.split(importance, ends), strict=True)
            )
            for ends in itertools.combinations(range(1, 12), k - 1)
        )
        centers = best_centers(values, k, importance if weighted else None)
        assert len(centers) == k
        assert error(values, centers, importance) == pytest.approx(least, rel=1e-4)


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "two clusters", "outlier", "zeros"])
@pytest.mark.parametrize("k", [2, 7, 16])
def test_many_values_are_divided_no_worse_than_from_many_starts(k: int, kind: str) -> None:
    random = np.random.default_rng(k)
    values = {
        "normal": random.standard_normal(2000), "heavy tails": random.standard_t(2, 2000),
        "two clusters": random.standard_normal(2000) + 30 * random.integers(0, 2, 2000),
        "outlier": np.append(random.standard_normal(1999), 1e4),
        "zeros": random.standard_normal(2000) * (random.random(2000) < 0.2),
    }[kind].astype(np.float32)  # fmt: skip
    importance = np.ones(len(values))
    starts = [np.sort(random.choice(values, k, replace=False)).astype(float) for _ in range(10)]
    found = min(error(values, lloyd(values.astype(float), start, importance)) for start in starts)
    assert error(values, best_centers(values, k)) <= 1.001 * found


def test_what_has_fewer_values_than_there_may_be_is_exact() -> None:
    values = np.resize(np.float32([-2, 0, 0.5, 7]), (10, 10))
    centers = best_centers(values, 16)
    assert np.array_equal(centers[nearest(values, centers)], values)


def test_nearest_is_nearest() -> None:
    values, centers = noise(3, 500, 200), np.sort(noise(256, seed=1))
    codes = nearest(values, centers)
    distances = np.abs(values - centers[codes])
    for place in (0, 100, 255):
        assert (distances <= np.abs(values - centers[place]) + 1e-6).all()


def test_a_histogram_is_that_of_its_values() -> None:
    values, importance = noise(5, 60_000) * 3, np.abs(noise(5, 1, seed=1)) + np.float32(0.5)
    histogram = histogram_of(values, importance)
    counts = np.broadcast_to(importance, values.shape).astype(float)
    sums = [float((counts * values.astype(float) ** power).sum()) for power in range(3)]
    assert [histogram.counts[-1], histogram.firsts[-1], histogram.squares[-1]] == pytest.approx(sums)
    half = np.searchsorted(np.sort(values.reshape(-1)), 0) / values.size  # the middle is 0
    assert histogram_of(values).counts[histogram.bins // 2] == pytest.approx(half * values.size, abs=1)
