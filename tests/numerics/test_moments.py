"""The variance of a mean, and a mean that is drawn towards 0 by the noise in it."""

import numpy as np
import pytest

from nncompress.numerics.moments import Moments, shrunk, variance_of_mean


def test_the_variance_of_a_mean_is_that_of_means_of_other_samples() -> None:
    random = np.random.default_rng(0)
    samples = random.standard_normal((4000, 20, 1)) * 3  # 4000 times a mean of 20
    measured = np.array([variance_of_mean(each, np.ones(20)) for each in samples])
    assert measured.mean() == pytest.approx(9 / 20, rel=0.05)
    assert samples.mean(axis=1).var() == pytest.approx(9 / 20, rel=0.1)


def test_a_larger_sample_counts_for_more() -> None:
    means, counts = np.array([[0.0], [1.0]]), np.array([1.0, 3.0])
    # the mean is 3/4; deviations -3/4 and 1/4 have the shares 1/4 and 3/4, and n / (n - 1) is 2
    assert variance_of_mean(means, counts) == pytest.approx([2 * ((3 / 16) ** 2 + (3 / 16) ** 2)])


def test_one_sample_tells_nothing_about_the_noise() -> None:
    variance = variance_of_mean(np.array([[1.0, 2.0]]), np.array([5]))
    assert shrunk(np.array([1.0, 2.0]), variance).tolist() == [0, 0]


def test_a_mean_keeps_what_stands_out_of_the_noise() -> None:
    mean = np.array([2.0, -2.0, 1.0, 0.5, 0.0, np.nan, np.inf])
    variance = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    assert shrunk(mean, variance).tolist() == [2.0, -1.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert shrunk(np.array([1.0]), np.array([np.nan])).tolist() == [0.0]


def test_squares_after_a_share_of_the_mean_was_taken_are_those_of_the_definition() -> None:
    rows, share = np.random.default_rng(3).normal(2, 1, (50, 3)), np.array([0.0, 0.25, 1.0])
    moments = Moments(3)
    moments.add(rows)
    assert moments.squares_less(share) == pytest.approx(np.square(rows - share * rows.mean(axis=0)).sum(axis=0))
