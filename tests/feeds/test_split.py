"""Samples in two parts: nothing is in both, nothing is lost, and labels go with their samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import UsageError
from nncompress.feeds.feeds import Feeds, load_feeds
from nncompress.feeds.specs import InputSpec
from nncompress.feeds.split import MOST, halves, split, thirds

SPECS = (InputSpec("x", np.dtype(np.float32), (None, 2)),)


def numbered(folder: Path, *sizes: int) -> Feeds:
    """Feeds of so many samples each, all samples numbered in a row."""
    folder.mkdir()
    start = 0
    for place, size in enumerate(sizes):
        np.savez(
            folder / f"{place:04}.npz", x=np.repeat(np.arange(start, start + size, dtype=np.float32), 2).reshape(-1, 2)
        )
        start += size
    return load_feeds(folder, SPECS)


def samples_in(feeds: Feeds) -> list[int]:
    return [int(row[0]) for feed in feeds for row in feed["x"]]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9, 100, 4 * MOST, 4 * MOST + 1, 700])
def test_every_feed_is_in_one_part(count: int, tmp_path: Path) -> None:
    first, rest = split(numbered(tmp_path / "x", *[1] * count))
    assert sorted(samples_in(first) + samples_in(rest)) == list(range(count))
    assert 1 <= len(first) <= min(MOST, -(-count // 4))
    assert samples_in(first)[0] == 0
    apart = np.diff(samples_in(first))
    assert not len(apart) or (apart == apart[0]).all()


def test_one_feed_cannot_serve_both(tmp_path: Path) -> None:
    said = r"has 1 feed, which cannot both calibrate and prove the result: name other samples with --calibration$"
    with pytest.raises(UsageError, match=said):
        split(numbered(tmp_path / "x", 5))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("sizes", [[1] * 9, [4, 4, 4, 4, 4, 1], [2, 3, 1, 5, 2, 2]])
def test_labels_stay_with_the_samples_that_prove(sizes: list[int], rows: int, tmp_path: Path) -> None:
    feeds = replace(numbered(tmp_path / "x", *sizes), labels=np.repeat(np.arange(sum(sizes)), rows))
    first, rest = split(feeds)
    assert first.labels is None
    assert rest.labels is not None
    assert rest.labels.tolist() == np.repeat(samples_in(rest), rows).tolist()


def test_labels_may_come_once_a_feed(tmp_path: Path) -> None:
    feeds = replace(numbered(tmp_path / "x", 2, 3, 2, 2, 2, 4), labels=np.arange(6))
    assert split(feeds)[1].labels.tolist() == [1, 2, 3, 5]  # type: ignore[union-attr]


def test_labels_that_belong_to_nothing_in_particular_are_refused(tmp_path: Path) -> None:
    feeds = replace(numbered(tmp_path / "x", 2, 3, 2), labels=np.arange(8))
    said = "8 labels cannot be divided among the 7 samples of .*, or name other samples with --calibration$"
    with pytest.raises(UsageError, match=said):
        split(feeds)


@pytest.mark.parametrize("count", [2, 3, 12, 40, 201])
def test_halves_and_thirds_share_nothing(count: int, tmp_path: Path) -> None:
    feeds = replace(numbered(tmp_path / "x", *[1] * count), labels=np.arange(count))
    for first, second in (halves(feeds), thirds(feeds, 300)):
        assert sorted(samples_in(first) + samples_in(second)) == list(range(count))
    assert halves(feeds)[1].labels.tolist() == samples_in(halves(feeds)[1])  # type: ignore[union-attr]
    assert [len(part) for part in thirds(feeds, 300)] == [count - (count + 1) // 3, (count + 1) // 3]
    few = thirds(feeds, 6)
    assert sum(map(len, few)) <= 6
    assert not set(samples_in(few[0])) & set(samples_in(few[1]))


def test_one_sample_is_both_thirds(tmp_path: Path) -> None:
    first, second = thirds(numbered(tmp_path / "x", 1), 6)
    assert samples_in(first) == samples_in(second) == [0]
