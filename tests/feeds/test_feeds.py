import os
import pickle
import zipfile

import numpy as np
import onnx
import pytest

from nncompress.errors import InputError
from nncompress.feeds.feeds import InputSpec, load_feeds

X = InputSpec("x", np.dtype("float32"), ("batch", 3))
FIXED = InputSpec("x", np.dtype("float32"), (2, 3))
STATE = InputSpec("state", np.dtype("float32"), (2, "batch", 4))
RATE = InputSpec("sr", np.dtype("int64"), ())


def rows(count, start=0):
    """[count, 3] float32 where each row says its number."""
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], 3, axis=1)


def numbers(feeds):
    """The row numbers in each feed."""
    return [feed["x"][:, 0].astype(int).tolist() for feed in feeds]


@pytest.fixture
def folder(tmp_path):
    """Four .npz of two rows each, written in another order than that of their names."""
    path = tmp_path / "eval"
    path.mkdir()
    for index in (2, 0, 3, 1):
        np.savez(path / f"{index}.npz", x=rows(2, 2 * index))
    return path


def test_a_folder_gives_one_feed_a_file_sorted_by_name_again_and_again(folder):
    feeds = load_feeds(folder, [X])
    assert len(feeds) == 4
    assert numbers(feeds) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert numbers(feeds) == numbers(feeds)
    assert (feeds.origin, feeds.synthetic, feeds.seed) == (str(folder), False, None)


def test_feeds_survive_pickling(folder):
    assert numbers(pickle.loads(pickle.dumps(load_feeds(folder, [X])))) == numbers(load_feeds(folder, [X]))


def test_hidden_files_in_a_folder_are_passed_over(folder):
    (folder / "._0.npz").write_bytes(b"resource fork")
    assert len(load_feeds(folder, [X])) == 4


def test_a_bad_file_in_a_folder_is_named_when_the_folder_is_opened(folder):
    np.savez(folder / "4.npz", y=rows(2))
    with pytest.raises(InputError, match=r"4\.npz: array 'y' is no input of the model"):
        load_feeds(folder, [X])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds neither \.npz files nor test_data_set_\* folders"):
        load_feeds(tmp_path, [X])


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        load_feeds(tmp_path / "none", [X])


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(InputError, match="neither a regular file nor a folder"):
        load_feeds(tmp_path / "x.npz", [X])
    with pytest.raises(InputError, match="neither a regular file nor a folder"):
        load_feeds(tmp_path, [X])


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("1,2,3")
    with pytest.raises(InputError, match=r"x\.csv: it is CSV text, no samples: np\.loadtxt"):
        load_feeds(tmp_path / "x.csv", [X])


def test_a_stacked_file_is_cut_into_batches_of_32(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(130))
    assert [len(feed) for feed in numbers(load_feeds(tmp_path / "x.npz", [X]))] == [32, 32, 32, 32, 2]


def test_a_small_stacked_file_still_gives_four_feeds(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(8))
    assert numbers(load_feeds(tmp_path / "x.npz", [X])) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_fixed_batch_size_is_kept_and_the_rest_left_out_with_a_note(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(5), labels=np.arange(5))
    feeds = load_feeds(tmp_path / "x.npz", [FIXED])
    assert numbers(feeds) == [[0, 1], [2, 3]]
    assert feeds.notes == ("the last 1 of 5 samples are left out: the model's batch size is 2",)
    assert feeds.labels.tolist() == [0, 1, 2, 3]


def test_fewer_samples_than_the_fixed_batch_size_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(1))
    with pytest.raises(InputError, match="1 samples, and the model's batch size is fixed at 2"):
        load_feeds(tmp_path / "x.npz", [FIXED])


def test_samples_that_are_whole_inputs_are_fed_one_by_one(tmp_path):
    np.savez(tmp_path / "x.npz", state=np.arange(24, dtype=np.float32).reshape(3, 2, 1, 4), sr=np.arange(3))
    feeds = list(load_feeds(tmp_path / "x.npz", [STATE, RATE]))
    assert [int(feed["sr"]) for feed in feeds] == [0, 1, 2]
    assert feeds[1]["state"].ravel().tolist() == list(range(8, 16))


def test_a_file_without_a_common_sample_axis_is_one_feed_when_it_fits(tmp_path):
    np.savez(tmp_path / "x.npz", state=np.zeros((2, 1, 4), np.float32), sr=np.int64(16000))
    feeds = load_feeds(tmp_path / "x.npz", [STATE, RATE])
    assert len(feeds) == 1
    assert feeds.notes == ("the data file was taken for one feed, not for stacked samples",)


def test_different_sample_counts_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(5), y=rows(4))
    pair = [X, InputSpec("y", np.dtype("float32"), (1, 3))]
    with pytest.raises(InputError, match=r"differ in their number of samples \('x' has 5, 'y' has 4\)"):
        load_feeds(tmp_path / "x.npz", pair)


def test_a_file_without_samples_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(0))
    with pytest.raises(InputError, match="there are no samples in it"):
        load_feeds(tmp_path / "x.npz", [X])


def test_a_npy_file_serves_a_model_with_one_input(tmp_path):
    np.save(tmp_path / "x.npy", rows(4))
    assert numbers(load_feeds(tmp_path / "x.npy", [X])) == [[0], [1], [2], [3]]
    with pytest.raises(InputError, match=r"a \.npy file serves models with one input, this one has 2"):
        load_feeds(tmp_path / "x.npy", [X, RATE])


def test_labels_come_from_the_data_file_unless_they_are_an_input(tmp_path):
    np.savez(tmp_path / "x.npz", x=rows(4), labels=np.array([3, 1, 2, 0], np.uint8))
    assert load_feeds(tmp_path / "x.npz", [X]).labels.tolist() == [3, 1, 2, 0]
    labels = InputSpec("labels", np.dtype("uint8"), ("batch",))
    assert load_feeds(tmp_path / "x.npz", [X, labels]).labels is None


@pytest.mark.parametrize("arrays", [{"labels": [1, 2]}, {"calib": [5], "eval": [1, 2]}, {"whatever": [1, 2]}])
def test_labels_of_a_separate_file_are_found_by_name(folder, tmp_path, arrays):
    np.savez(tmp_path / "labels.npz", **arrays)
    assert load_feeds(folder, [X], tmp_path / "labels.npz").labels.tolist() == [1, 2]


def test_labels_that_cannot_be_told_apart_are_refused(folder, tmp_path):
    np.savez(tmp_path / "labels.npz", a=[1], b=[2])
    with pytest.raises(InputError, match=r"no array called 'labels' or 'eval' \(arrays found: 'a', 'b'\)"):
        load_feeds(folder, [X], tmp_path / "labels.npz")


def test_labels_must_be_numbers(folder, tmp_path):
    np.savez(tmp_path / "labels.npz", labels=["cat"])
    with pytest.raises(InputError, match=r"labels must be numbers, these are text: number them"):
        load_feeds(folder, [X], tmp_path / "labels.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_corrupt_npz_is_an_input_error(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.npz: cannot be read as \.npz"):
        load_feeds(tmp_path / "x.npz", [X])


def test_every_flipped_or_missing_byte_gives_an_error_or_data(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", x=rows(3))
    good = (tmp_path / "good.npz").read_bytes()
    damaged = [good[:n] for n in range(0, len(good), 7)]
    damaged += [good[:n] + bytes([good[n] ^ 0x55]) + good[n + 1 :] for n in range(len(good))]
    outcomes = set()
    for content in damaged:
        (tmp_path / "x.npz").write_bytes(content)
        try:
            outcomes.add(len(list(load_feeds(tmp_path / "x.npz", [X]))) > 0)
        except InputError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], object))
    with pytest.raises(InputError, match="Python objects"):
        load_feeds(tmp_path / "x.npz", [X])


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    header = str({"descr": "<f4", "fortran_order": False, "shape": (10**13, 3)}).encode()
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(InputError, match="truncated"):
        load_feeds(tmp_path / "x.npz", [X])


def write_test_data_set(path, *arrays):
    path.mkdir(parents=True)
    for index, array in enumerate(arrays):
        (path / f"input_{index}.pb").write_bytes(onnx.numpy_helper.from_array(array).SerializeToString())


def test_onnx_test_data_sets_are_feeds_in_the_order_of_their_numbers(tmp_path):
    for index in (10, 2, 0):
        write_test_data_set(tmp_path / f"test_data_set_{index}", rows(1, index), np.array(index))
    feeds = load_feeds(tmp_path, [X, RATE])
    assert numbers(feeds) == [[0], [2], [10]]
    assert [int(feed["sr"]) for feed in feeds] == [0, 2, 10]


def test_one_test_data_set_folder_is_one_feed(tmp_path):
    write_test_data_set(tmp_path / "test_data_set_0", rows(2))
    assert numbers(load_feeds(tmp_path / "test_data_set_0", [X])) == [[0, 1]]


def test_a_test_data_set_with_too_many_inputs_is_refused(tmp_path):
    write_test_data_set(tmp_path / "test_data_set_0", rows(1), rows(1))
    with pytest.raises(InputError, match=r"input_1\.pb: the model has 1 inputs to feed, numbered from 0"):
        load_feeds(tmp_path, [X])


def test_a_corrupt_tensor_file_is_an_input_error(tmp_path):
    write_test_data_set(tmp_path / "test_data_set_0", rows(1))
    (tmp_path / "test_data_set_0" / "input_0.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(InputError, match="cannot be read as a tensor"):
        load_feeds(tmp_path, [X])


def test_external_data_in_a_tensor_file_is_refused(tmp_path):
    tensor = onnx.TensorProto(data_type=onnx.TensorProto.FLOAT, dims=[1, 3], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "test_data_set_0").mkdir()
    (tmp_path / "test_data_set_0" / "input_0.pb").write_bytes(tensor.SerializeToString())
    with pytest.raises(InputError, match="external data is not read from test data"):
        load_feeds(tmp_path, [X])
