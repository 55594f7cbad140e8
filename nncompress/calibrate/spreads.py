"""What the child process does for statistics: runs a block feed by feed and sums up values, of one feed at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nncompress.feeds.feeds import Feeds
from nncompress.numerics.spread import Spread
from nncompress.progress import Announce, Stage
from nncompress.runtime.blocks import Block
from nncompress.runtime.session import open_session

Spreads = dict[str, Spread | str]
"""What values are like, by name; or why that is not known."""


class Sum(Protocol):
    """What is known of a value, feed by feed. Pickles."""

    def add(self, array: np.ndarray, /) -> None:
        """The value for one feed more."""


@dataclass(frozen=True)
class SumUp:
    """Compute a block on the inputs of the model, and add what it shows and some of the inputs to `sums`. Pickles."""

    block: Block
    sums: Mapping[str, Sum]
    doing: Stage  # done and total count feeds


class SummingUp:
    """Answers requests, each with a run over all feeds."""

    def __init__(self, feeds: Feeds, threads: int, announce: Announce) -> None:
        self._feeds, self._threads, self._announce = feeds, threads, announce

    def __call__(self, request: SumUp) -> dict[str, Sum | str]:
        """What each value is like, or why that is not known."""
        block, doing = request.block, request.doing
        self._announce(block.part, doing.doing, doing.done, doing.total)
        session = open_session(block.path, block.part, threads=self._threads) if block.seen else None
        sums: dict[str, Sum | str] = dict(request.sums)
        inputs = sums.keys() - set(block.seen)
        for number, feed in enumerate(self._feeds):
            self._announce(block.part, doing.doing, doing.done + number, doing.total)
            values = {name: feed[name] for name in inputs}
            if session is not None:
                results = session.run({name: feed[name] for name in block.inputs})
                values |= zip(session.outputs, results, strict=True)
            sums |= {name: _with(sums[name], value) for name, value in values.items()}
            values, results = {}, []  # before there are others
        return sums


def _with(total: Sum | str, value: object) -> Sum | str:
    if isinstance(total, str):
        return total
    if not isinstance(value, np.ndarray):
        return "it is no tensor"
    if value.dtype not in (np.float16, np.float32, np.float64):
        return f"it is {value.dtype}, no float"
    total.add(value)
    return total
