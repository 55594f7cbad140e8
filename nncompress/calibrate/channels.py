"""What each channel of activations is like: its range and the mean of its squares, over all rows of all feeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nncompress.calibrate.ranges import excluded, summed_up
from nncompress.feeds.feeds import Feeds
from nncompress.model.model import Model
from nncompress.model.multiplied import Data
from nncompress.model.network import Network
from nncompress.numerics.migration import Channels
from nncompress.numerics.moments import Moments
from nncompress.numerics.ranges import Ranges


class AlongAxes:
    """Sums up the rows of a value, along each of the axes that may have its channels. Pickles."""

    def __init__(self, axes: Iterable[int]) -> None:
        self.found: dict[int, tuple[Moments, Ranges, Moments] | None] = dict.fromkeys(axes)  # None: empty so far

    def add(self, array: np.ndarray) -> None:
        """The value for one feed more, which has these axes."""
        for axis, known in self.found.items() if array.size else ():
            rows = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])
            channels = rows.shape[1]
            self.found[axis] = known = known or (Moments(channels), Ranges(channels), Moments(channels))
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is not known
                moments, ranges, nonzeros = known
                moments.add(rows)
                ranges.add(rows)
                nonzeros.add(rows != 0)


def measured_channels(model: Model, samples: Feeds, data: Sequence[Data], threads: int) -> list[Channels | str]:
    """See `passes.statistics.Calibration`."""
    network = Network(model)
    axes: dict[str, dict[int, None]] = {}
    for each in data:
        axes.setdefault(str(each.value.name), {})[each.axis] = None
    reasons = excluded(network, list(axes))
    wanted = [name for name in axes if name not in reasons]
    sums = summed_up(network, wanted, samples, lambda name: AlongAxes(axes[name]), threads) if wanted else {}
    known = {**sums, **reasons}
    return [_channels(known[str(each.value.name)], each.axis) for each in data]


def _channels(known: AlongAxes | str, axis: int) -> Channels | str:
    if isinstance(known, str):
        return known
    found = known.found[axis]
    if found is None:
        return "it is empty for every feed"
    moments, ranges, nonzeros = found
    low, high = ranges.low.astype(np.float64), ranges.high.astype(np.float64)
    squares = moments.squares / moments.count
    if not np.isfinite([low, high, squares]).all():
        return "it is not finite for every feed"
    return Channels(low, high, squares, nonzeros.mean)
