"""What each channel of activations is like: its range and the mean of its squares, over all rows of all feeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nncompress.calibrate.ranges import excluded, summed_up
from nncompress.feeds.feeds import Feeds
from nncompress.model.model import Model
from nncompress.model.network import Network
from nncompress.numerics.migration import Channels
from nncompress.numerics.moments import Moments
from nncompress.numerics.ranges import Ranges


class LastAxis:
    """Sums up the rows of a value along its last axis. Pickles."""

    def __init__(self) -> None:
        self.moments: Moments | None = None  # None: empty so far
        self.ranges: Ranges | None = None

    def add(self, array: np.ndarray) -> None:
        """The value for one feed more, of at least one axis."""
        if not array.size:
            return
        rows = array.reshape(-1, array.shape[-1])
        self.moments = self.moments or Moments(rows.shape[1])
        self.ranges = self.ranges or Ranges(rows.shape[1])
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is not known
            self.moments.add(rows)
            self.ranges.add(rows)


def measured_channels(model: Model, samples: Feeds, names: Sequence[str], threads: int) -> list[Channels | str]:
    """See `passes.statistics.Calibration`."""
    network = Network(model)
    reasons = excluded(network, names)
    wanted = [name for name in dict.fromkeys(names) if name not in reasons]
    sums = summed_up(network, wanted, samples, lambda name: LastAxis(), threads) if wanted else {}
    return [reasons[name] if name in reasons else _channels(sums[name]) for name in names]


def _channels(known: LastAxis | str) -> Channels | str:
    if isinstance(known, str):
        return known
    if known.moments is None or known.ranges is None:
        return "it is empty for every feed"
    low, high = known.ranges.low.astype(np.float64), known.ranges.high.astype(np.float64)
    squares = known.moments.squares / known.moments.count
    if not np.isfinite([low, high, squares]).all():
        return "it is not finite for every feed"
    return Channels(low, high, squares)
