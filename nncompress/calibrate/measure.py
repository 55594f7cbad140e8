"""What the child process of a walk does: runs one block of either network, and sums up how a result moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nncompress.feeds.feeds import Feeds
from nncompress.model.kind import Kind
from nncompress.numerics.held import Store
from nncompress.numerics.moments import Deviation, Moments, variance_of_mean
from nncompress.progress import Announce, Stage
from nncompress.runtime.blocks import (
    BUDGET_BYTES,
    Activations,
    Block,
    CannotKeepError,
    Look,
    kinds_of,
    run_block,
    start,
)


@dataclass(frozen=True)
class Advance:
    """Compute a block of the original, whose results are kept. Pickles."""

    block: Block
    doing: Stage  # for messages


@dataclass(frozen=True)
class Compare:
    """Compute a block of the network as it is now, and compare one result with the original's. Pickles."""

    block: Block  # of the network as it is now; shows the result
    alone: Block | None  # the node with the weights that it has now, on what it reads in the original; shows the result
    result: str
    axis: int  # of its channels
    live_original: frozenset[str]  # what is kept afterwards
    live_now: frozenset[str]
    doing: Stage


@dataclass(frozen=True)
class CompareOutputs:
    """Compute the whole network as it is now, and compare its outputs with the original's. Pickles."""

    block: Block  # shows the outputs
    doing: Stage


Kinds = Mapping[str, Kind]
"""What values are like that were kept."""


class TwoNetworks:
    """Both networks with the activations that are still needed."""

    def __init__(self, feeds: Feeds, threads: int, announce: Announce) -> None:
        self._threads, self._announce = threads, announce
        announce("original", "reading calibration data for")
        self._original = start(feeds, Store(BUDGET_BYTES))
        self._now = Activations(self._original.store, dict(self._original.arrays))
        self._count = len(feeds)

    def __call__(self, request: Advance | Compare | CompareOutputs | None) -> Any:
        """Kinds of what was kept; of a comparison also how the result moved, and of outputs only their error.

        Of a block whose results cannot be kept, the reason why; for None what the inputs are like.
        """
        if request is None:
            return kinds_of(self._original)
        self.go_on(request)
        try:
            return self._answer(request)
        except CannotKeepError as error:
            return str(error)

    def _answer(self, request: Advance | Compare | CompareOutputs) -> Any:
        if isinstance(request, CompareOutputs):
            errors = _OutputErrors(self, request)
            self._run(request.block, self._now, errors.add)
            return errors.worst()
        if isinstance(request, Advance):
            return self._run(request.block, self._original, lambda index, results: self.go_on(request))
        moved = alone = _Differences(self, request)
        kinds = self._run(request.block, self._now, moved.add)
        if request.alone is not None:
            alone = _Differences(self, request)
            self._run(request.alone, self._original, alone.add)
        deviation = _deviation(moved, alone, self._signal(request.result))
        self._original.keep(request.live_original)
        self._now.keep(request.live_now)
        return kinds, deviation

    def _run(self, block: Block, activations: Activations, look: Look) -> Kinds:
        return run_block(block, activations, self._count, look, self._threads)

    def go_on(self, request: Advance | Compare | CompareOutputs) -> None:
        """A sign of life."""
        self._announce(request.block.part, request.doing.doing, request.doing.done, request.doing.total)

    def original(self, name: str, index: int) -> np.ndarray:
        """A value of the original network for one feed."""
        return self._original.of([name], index)[name]

    def _signal(self, name: str) -> float:
        """Sum of the squares of a value of the original network."""
        with np.errstate(invalid="ignore", over="ignore"):
            squares = (np.square(self.original(name, index), dtype=np.float64) for index in range(self._count))
            return float(sum(square.sum() for square in squares))


class _Differences:
    """Original minus other, of one result, feed by feed."""

    def __init__(self, networks: TwoNetworks, request: Compare) -> None:
        self._networks, self._request = networks, request
        self.total: Moments | None = None
        self.feeds: list[Moments] = []
        self.reason: str | None = None

    def add(self, index: int, results: dict[str, np.ndarray]) -> None:
        """The other result for one feed."""
        self._networks.go_on(self._request)
        before, after = self._networks.original(self._request.result, index), results[self._request.result]
        if before.shape != after.shape:
            self.reason = "its result has another shape than in the original"
            return
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values: the channel counts as not known
            moved = np.moveaxis(np.subtract(before, after, dtype=np.float64), self._request.axis, -1)
            own = Moments(moved.shape[-1])
            own.add(moved.reshape(-1, moved.shape[-1]))
            self.total = self.total or Moments(moved.shape[-1])
            self.total.merge(own)
        if own.count:
            self.feeds.append(own)


class _OutputErrors:
    """Sums of squares of outputs, and of their differences, where both are finite."""

    def __init__(self, networks: TwoNetworks, request: CompareOutputs) -> None:
        self._networks, self._request = networks, request
        self._sums = {name: np.zeros(2) for name in request.block.seen}

    def add(self, index: int, results: dict[str, np.ndarray]) -> None:
        """The outputs for one feed; those that are no floats, or differ in shape, do not count."""
        self._networks.go_on(self._request)
        for name, sums in self._sums.items():
            before, after = self._networks.original(name, index), results[name]
            if before.dtype.kind == "f" and before.shape == after.shape:
                finite = np.isfinite(before) & np.isfinite(after)
                exact = before[finite].astype(np.float64)
                sums += np.square(exact - after[finite]).sum(), np.square(exact).sum()

    def worst(self) -> float:
        """|difference| / |original| of the output where that is largest; 0 where nothing counts."""
        return max((math.sqrt(error / signal) for error, signal in self._sums.values() if signal > 0), default=0.0)


def _deviation(moved: _Differences, alone: _Differences, signal: float) -> Deviation | str:
    reason = moved.reason or alone.reason
    if reason is not None:
        return reason
    if moved.total is None or alone.total is None or not moved.feeds:
        return "its result is empty for every feed"
    means = np.stack([feed.mean for feed in moved.feeds])
    counts = np.array([feed.count for feed in moved.feeds])
    return Deviation(moved.total, variance_of_mean(means, counts), alone.total, signal)
