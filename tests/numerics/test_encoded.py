"""What every encoding promises: a sample decodes to what the whole decodes to, and nothing is missing in its arrays."""

import functools

import numpy as np
import pytest

from nncompress.numerics.affine import Affine, quantize
from nncompress.numerics.equalise import equalised
from nncompress.numerics.exact import exact_encodings
from nncompress.numerics.held import Store
from nncompress.numerics.sparse import Pruned
from tests.models import noise


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1)])
def test_a_sample_of_codes_decodes_to_what_the_whole_decodes_to(
    axes: tuple[int, ...], symmetric: bool, signed: bool
) -> None:
    weight = noise(9, 11, 13)
    made = quantize(weight, axes, bits=8, signed=signed, symmetric=symmetric, range_="minmax", store=Store())
    places = np.array([0, 1, 5, 700, 1286])
    assert np.array_equal(made.affine.decode_at(places), made.affine.decode().reshape(-1)[places])


def test_a_second_scale_is_counted_in() -> None:
    weight = noise(64, 64)
    weight[:, 3] *= 100
    coarse = functools.partial(
        quantize, channel_axes=(0,), bits=8, signed=True, symmetric=True, range_="minmax", store=Store()
    )
    affine = equalised(weight, coarse(weight), 1, coarse).affine
    assert affine.input_scale is not None
    places = np.arange(0, 4096, 7)
    assert np.array_equal(affine.decode_at(places), affine.decode().reshape(-1)[places])


def test_other_encodings_and_empty_samples_decode_as_well() -> None:
    values = noise(4, 5)
    pruned = Pruned(Store().hold(values), (4, 5), 20)
    assert pruned.decode_at(np.array([3, 19])).tolist() == [values[0, 3], values[3, 4]]
    assert pruned.decode_at(np.arange(0)).shape == (0,)


def test_exact_encodings_and_their_samples_give_back_every_bit() -> None:
    codes = np.rint(noise(40, 30) * 20).astype(np.float32)
    arrays = [codes, np.where(codes > 9, np.float32(0.3), np.float32(np.nan)), np.full((40, 30), -0.0, np.float32)]
    encodings = [encoded for array in arrays for encoded, _ in exact_encodings(array, lambda array=array: array)]  # type: ignore[misc]
    assert {type(encoded).__name__ for encoded in encodings} == {"Narrow", "Pruned", "Codebook", "Filled"}
    places = np.array([0, 7, 1199])
    for encoded in encodings:
        decoded = encoded.decode()
        assert any(np.array_equal(decoded.view(np.uint32), array.view(np.uint32)) for array in arrays)
        assert np.array_equal(encoded.decode_at(places), decoded.reshape(-1)[places], equal_nan=True)
        assert all(held.load().size for held in encoded.arrays().values())


def test_arrays_are_all_that_an_encoding_consists_of() -> None:
    made = quantize(noise(9, 11), (0,), bits=8, signed=True, symmetric=False, range_="minmax", store=Store()).affine
    arrays = {name: held.load() for name, held in made.arrays().items()}
    assert sorted(arrays) == ["codes", "scale", "zero_point"]
    again = Affine(
        Store().hold(arrays["codes"]), arrays["scale"], arrays["zero_point"], made.shape, made.codes_shape, True, 8,
        made.nonzeros,
    )  # fmt: skip
    assert np.array_equal(again.decode(), made.decode())
    assert [*Pruned(Store().hold(noise(4, 5)), (4, 5), 20).arrays()] == ["values"]
