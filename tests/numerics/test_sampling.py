"""Samples are even."""

import numpy as np
import pytest

from nncompress.numerics.sampling import RUN_LENGTH, RUNS, sampled_places

MOST = RUNS * RUN_LENGTH


@pytest.mark.parametrize("size", [0, 1, 7, MOST - 1, MOST])
def test_of_few_values_all_are_taken(size: int) -> None:
    assert sampled_places(size).tolist() == list(range(size))


@pytest.mark.parametrize("size", [MOST + 1, 3 * MOST, 1 << 24, 10**7 + 7])
def test_of_many_values_even_runs_are_taken_from_the_first_to_the_last(size: int) -> None:
    places = sampled_places(size)
    assert len(places) == MOST
    assert (places[0], places[-1]) == (0, size - 1)
    assert (np.diff(places.reshape(RUNS, RUN_LENGTH), axis=1) == 1).all()
    starts = places[::RUN_LENGTH]
    assert np.ptp(np.diff(starts)) <= 1
    if size >= 3 * MOST:
        assert len(set(places.tolist())) == MOST


def test_a_sample_looks_at_every_column_of_a_square_matrix() -> None:
    side = 4096
    assert len(np.unique(sampled_places(side * side) % side)) > 0.9 * side
