"""Rows of stacked arrays are those that numpy reads, however they are packed, and only those that are asked for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.feeds.arrays import rows_of
from nncompress.feeds.feeds import load_feeds
from nncompress.feeds.specs import InputSpec
from tests.models import noise

ARRAYS: dict[str, np.ndarray] = {
    "plain": noise(7, 3, 2),
    "by column": np.asfortranarray(noise(7, 3)),
    "one axis": np.arange(7),
    "no elements": np.zeros((7, 0), np.float32),
    "texts": np.array(["a", "bc"] * 3 + ["d"]),
    "big-endian": np.arange(14, dtype=">i4").reshape(7, 2),
}
SPECS = (InputSpec("x", np.dtype(np.float32), (None, 100, 100)),)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_are_those_of_the_array(save: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    with rows_of(tmp_path / "a.npz") as rows:
        assert rows.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            for start, stop in ((1, 2), (2, 2), (3, 5), (5, 9)):
                taken = rows[name].take(start, stop)
                assert np.array_equal(taken, array[start:stop])
                assert (taken.dtype, taken.shape) == (array.dtype, array[start:stop].shape)


def test_a_file_of_one_array_has_rows_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["plain"])
    with rows_of(tmp_path / "a.npy") as rows:
        assert np.array_equal(rows[""].take(2, 4), ARRAYS["plain"][2:4])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reading_feeds_holds_one_of_them_at_a_time(save: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path / "a.npz", x=noise(64, 100, 100))
    feeds = load_feeds(tmp_path / "a.npz", SPECS).finer(0)
    tracemalloc.start()
    read = sum(len(feed["x"]) for feed in feeds)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == 64
    assert peak < 16 * 100 * 100 * 4  # a feed is a 16th of that, and several times there while it is unpacked


def test_what_ends_early_is_damaged(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=noise(64, 100, 100))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:50_000] + whole[60_000:])
    with pytest.raises(InputError, match=r"a\.npz: cannot be read as \.npz"):
        list(load_feeds(tmp_path / "a.npz", SPECS))


# ------------------------------------------------------------------------------------------------ finer
@pytest.mark.parametrize(("most", "sizes"), [
    (16, [16] * 4), (15, [8] * 8), (2, [2] * 32), (1, [1] * 64), (0, [1] * 64), (99, [16] * 4),
])  # fmt: skip
def test_finer_feeds_are_the_same_samples(most: int, sizes: list[int], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=noise(64, 100, 100))
    feeds = load_feeds(tmp_path / "a.npz", SPECS)
    finer = feeds.finer(most)
    assert [len(feed["x"]) for feed in finer] == sizes
    assert np.array_equal(np.concatenate([feed["x"] for feed in finer]), np.concatenate([feed["x"] for feed in feeds]))


def test_a_last_feed_that_is_smaller_stays_whole(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=noise(67, 100, 100))
    feeds = load_feeds(tmp_path / "a.npz", SPECS).finer(5)
    assert sum(len(feed["x"]) for feed in feeds) == 67
    assert len(feeds.names) == len(feeds)


def test_what_a_model_or_a_folder_says_of_batches_stays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=noise(8, 100, 100))
    fixed = load_feeds(tmp_path / "a.npz", (InputSpec("x", np.dtype(np.float32), (4, 100, 100)),))
    assert [len(feed["x"]) for feed in fixed.finer(0)] == [4, 4]
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "folder/a.npz", x=noise(8, 100, 100))
    assert len(load_feeds(tmp_path / "folder", SPECS).finer(0)) == 1
