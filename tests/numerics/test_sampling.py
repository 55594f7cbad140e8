"""Samples are even, and decode to what the whole decodes to."""

import numpy as np
import pytest

from nncompress.numerics.affine import quantize
from nncompress.numerics.equalise import equalised
from nncompress.numerics.held import Store
from nncompress.numerics.sampling import RUN_LENGTH, RUNS, decoded_at, sampled_places
from nncompress.numerics.sparse import Pruned
from tests.models import noise

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


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1)])
def test_a_sample_of_codes_decodes_to_what_the_whole_decodes_to(
    axes: tuple[int, ...], symmetric: bool, signed: bool
) -> None:
    weight = noise(9, 11, 13)
    made = quantize(weight, axes, bits=8, signed=signed, symmetric=symmetric, range_="minmax", store=Store())
    places = np.array([0, 1, 5, 700, 1286])
    assert np.array_equal(decoded_at(made.affine, places), made.affine.decode().reshape(-1)[places])


def test_a_second_scale_is_counted_in() -> None:
    weight = noise(64, 64)
    weight[:, 3] *= 100
    made = quantize(weight, (0,), bits=8, signed=True, symmetric=True, range_="minmax", store=Store())
    affine = equalised(weight, made, (0,), 1, bits=8, range_="minmax", store=Store()).affine
    assert affine.input_scale is not None
    places = np.arange(0, 4096, 7)
    assert np.array_equal(decoded_at(affine, places), affine.decode().reshape(-1)[places])


def test_other_encodings_and_empty_samples_decode_as_well() -> None:
    values = noise(4, 5)
    pruned = Pruned(Store().hold(values), (4, 5), 20)
    assert decoded_at(pruned, np.array([3, 19])).tolist() == [values[0, 3], values[3, 4]]
    assert decoded_at(pruned, np.arange(0)).shape == (0,)
