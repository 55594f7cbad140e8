"""What each channel of activations is like: its range and the mean of its squares, over all rows of all feeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nncompress.calibrate.along_axes import AlongAxes
from nncompress.calibrate.ranges import excluded, summed_up
from nncompress.feeds.feeds import Feeds
from nncompress.model.model import Model
from nncompress.model.multiplied import Data
from nncompress.model.network import Network
from nncompress.numerics.migration import Channels
from nncompress.numerics.moments import Moments
from nncompress.numerics.ranges import Ranges


class ChannelSums:
    """Of rows [n, channels]: range, mean squares, and the share that is not 0."""

    def __init__(self, channels: int) -> None:
        self.moments, self.ranges, self.nonzeros = Moments(channels), Ranges(channels), Moments(channels)

    def add(self, rows: np.ndarray) -> None:
        """Counts `rows` in."""
        self.moments.add(rows)
        self.ranges.add(rows)
        self.nonzeros.add(rows != 0)


def measured_channels(model: Model, samples: Feeds, data: Sequence[Data], threads: int) -> list[Channels | str]:
    """See `passes.statistics.Calibration`."""
    network = Network(model)
    axes: dict[str, dict[int, None]] = {}
    for each in data:
        axes.setdefault(str(each.value.name), {})[each.axis] = None
    reasons = excluded(network, list(axes))
    wanted = [name for name in axes if name not in reasons]
    sums = (
        summed_up(network, wanted, samples, lambda name: AlongAxes(axes[name], ChannelSums), threads) if wanted else {}
    )
    known = {**sums, **reasons}
    return [_channels(known[str(each.value.name)], each.axis) for each in data]


def _channels(known: AlongAxes[ChannelSums] | str, axis: int) -> Channels | str:
    if isinstance(known, str):
        return known
    sums = known.sums[axis]
    if sums is None:
        return "it is empty for every feed"
    low, high = sums.ranges.low.astype(np.float64), sums.ranges.high.astype(np.float64)
    squares = sums.moments.squares / sums.moments.count
    if not np.isfinite([low, high, squares]).all():
        return "it is not finite for every feed"
    return Channels(low, high, squares, sums.nonzeros.mean)
