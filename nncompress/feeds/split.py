"""Samples in two parts that share none: some to calibrate on, all others to prove the result on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nncompress.errors import UsageError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.specs import Array

EVERY = 4  # feeds, of which the first calibrates
MOST = 64  # that calibrate: of more, farther ones
_ONE_EACH = "give one for each sample, or as many for each"


def split(feeds: Feeds) -> tuple[Feeds, Feeds]:
    """Those that calibrate, without labels, and the others, with theirs. Raises UsageError where there is only one."""
    if len(feeds) < 2:
        raise UsageError(
            f"{feeds.origin} has {len(feeds)} feed, which cannot both calibrate and prove the result: "
            "name other samples with --calibration"
        )
    calibrating = slice(0, None, every(len(feeds)))
    first = set(range(len(feeds))[calibrating])
    rest = [place for place in range(len(feeds)) if place not in first]
    hint = f"{_ONE_EACH}, or name other samples with --calibration"
    labels = None if feeds.labels is None else _labels_of(feeds, feeds.labels, rest, hint)
    others = replace(feeds, indices=tuple(feeds.indices[place] for place in rest), labels=labels)
    return feeds.some(calibrating), others


def halves(feeds: Feeds, seed: int = 0) -> tuple[Feeds, Feeds]:
    """Two halves with their labels: one to search on, and one to judge what was found. Chance decides which feed is in
    which, the same way each time: their order may mean something. Raises UsageError for one feed."""
    feeds = feeds.finer(1) if len(feeds) < 2 else feeds
    if len(feeds) < 2:
        raise UsageError(
            f"one feed of {feeds.origin} cannot both guide a search and judge its result: give more with --data, or "
            "others with --calibration"
        )
    order = np.random.default_rng(seed).permutation(len(feeds))
    parts = sorted(order[: len(feeds) // 2].tolist()), sorted(order[len(feeds) // 2 :].tolist())
    first, second = (
        replace(
            feeds, indices=tuple(feeds.indices[place] for place in part),
            labels=None if feeds.labels is None else _labels_of(feeds, feeds.labels, part),
        )
        for part in parts
    )  # fmt: skip
    return first, second


def thirds(feeds: Feeds, most: int) -> tuple[Feeds, Feeds]:
    """Two of three of at most so many feeds, evenly chosen, and the others, without labels; of one feed, it twice."""
    feeds = feeds.finer(1) if len(feeds) < 2 else feeds
    places = range(len(feeds))[:: max(1, -(-len(feeds) // most))]
    others = places[1::3] or places
    first = [place for place in places if place not in others] or places
    made, judged = (
        replace(feeds, indices=tuple(feeds.indices[place] for place in part), labels=None) for part in (first, others)
    )
    return made, judged


def every(count: int) -> int:
    """How far those that calibrate are apart, of so many feeds."""
    return max(EVERY, -(-count // MOST))


def _labels_of(feeds: Feeds, labels: Array, places: Sequence[int], hint: str = _ONE_EACH) -> Array:
    """The labels of the feeds at `places`: as many of each feed as it has samples, or as many of each. `hint`: what to
    do where they cannot be divided."""
    samples = np.array([max((array.shape[0] for array in feed.values() if array.ndim), default=1) for feed in feeds])
    each = next((sizes for sizes in (samples, np.ones_like(samples)) if len(labels) % sizes.sum() == 0), None)
    if each is None:
        raise UsageError(
            f"{len(labels)} labels cannot be divided among the {samples.sum()} samples of {feeds.origin}, of which "
            f"only some are to be judged: {hint}"
        )
    ends = np.cumsum(each * (len(labels) // each.sum()))
    return np.concatenate([part for place, part in enumerate(np.split(labels, ends[:-1])) if place in set(places)])
