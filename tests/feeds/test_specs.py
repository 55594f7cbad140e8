import ml_dtypes
import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.feeds.specs import InputSpec, check_arrays, conform, fits

IMAGE = InputSpec("image", np.dtype("float32"), ("batch", 1, 4, 4))
IDS = InputSpec("ids", np.dtype("int64"), ("batch", None))


def test_an_unknown_array_is_refused_with_the_nearest_input():
    with pytest.raises(InputError, match=r"a\.npz: array 'imgae' is no input of the model \(did you mean 'image'\?\)"):
        check_arrays({"imgae": np.zeros((1, 1, 4, 4), np.float32)}, [IMAGE], "a.npz")


def test_a_missing_input_is_named_with_what_was_found():
    with pytest.raises(InputError, match=r"no array for the model's input 'ids' \(found 'image'\)"):
        check_arrays({"image": np.zeros((1, 1, 4, 4), np.float32)}, [IMAGE, IDS], "a.npz")


@pytest.mark.parametrize("shape", [(1, 1, 4), (1, 2, 4, 4), (1, 1, 4, 5)])
def test_a_wrong_rank_or_fixed_size_is_refused(shape):
    with pytest.raises(InputError, match=r"has shape \[.*\], the model's input is \[batch, 1, 4, 4\]"):
        check_arrays({"image": np.zeros(shape, np.float32)}, [IMAGE], "a.npz")


@pytest.mark.parametrize(("found", "spec"), [("float16", IMAGE), ("uint8", IMAGE), ("float32", IDS), ("uint64", IDS)])
def test_a_wrong_type_is_refused(found, spec):
    shape = tuple(size if isinstance(size, int) else 2 for size in spec.shape)
    with pytest.raises(InputError, match=f"is {found}, the model's input is {spec.dtype.name}"):
        check_arrays({spec.name: np.zeros(shape, found)}, [spec], "a.npz")


def test_int32_and_float64_are_converted_and_said():
    feed, notes = conform({"ids": np.array([[7]], np.int32)}, [IDS], "a.npz")
    assert feed["ids"].dtype == np.int64
    assert feed["ids"].tolist() == [[7]]
    assert notes == ("input 'ids': int32 data converted to int64",)
    feed, notes = conform({"image": np.full((1, 1, 4, 4), 0.5)}, [IMAGE], "a.npz")
    assert feed["image"].dtype == np.float32
    assert notes == ("input 'image': float64 data converted to float32",)


def test_the_other_byte_order_is_the_same_type():
    feed, notes = conform({"ids": np.array([[258]], ">i8")}, [IDS], "a.npz")
    assert feed["ids"].dtype.isnative
    assert feed["ids"].tolist() == [[258]]
    assert notes == ()


def test_values_that_are_not_finite_are_allowed_and_noted():
    image = np.zeros((1, 1, 4, 4), np.float32)
    image[0, 0, 0, 0] = np.inf
    feed, notes = conform({"image": image}, [IMAGE], "a.npz")
    assert np.isinf(feed["image"][0, 0, 0, 0])
    assert notes == ("input 'image': the data holds values that are not finite",)


def test_a_scalar_stays_a_scalar():
    feed, _ = conform({"sr": np.int64(16000)[()].reshape(())}, [InputSpec("sr", np.dtype("int64"), ())], "a.npz")
    assert feed["sr"].shape == ()


def test_raw_bytes_stand_for_bfloat16():
    values = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    spec = InputSpec("x", np.dtype(ml_dtypes.bfloat16), ("n",))
    feed, _ = conform({"x": values.view("V2")}, [spec], "a.npz")
    assert feed["x"].astype(np.float32).tolist() == [1.5, -2.0]


def test_python_objects_are_refused():
    with pytest.raises(InputError, match="holds Python objects"):
        check_arrays({"ids": np.array([[None]], object)}, [IDS], "a.npz")


def test_texts_fit_an_input_without_a_numeric_type():
    spec = InputSpec("text", None, (None,))
    check_arrays({"text": np.array(["a"])}, [spec], "a.npz")
    with pytest.raises(InputError, match="is int64, and the model's input is no numeric tensor"):
        check_arrays({"text": np.array([1])}, [spec], "a.npz")


def test_an_unknown_rank_fits_everything():
    assert fits((1, 2, 3), InputSpec("x", np.dtype("float32"), None))
    assert not fits((1, 2, 3), InputSpec("x", np.dtype("float32"), (None, None)))
