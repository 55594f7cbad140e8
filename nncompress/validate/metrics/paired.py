"""How far a drop may lie from what was measured: its interval, from what each sample lost between both models.

Both models see the same samples, so that differences count, and not the spread of each. For shares, a half is added to
each cell of the table of right and wrong in both (Agresti and Min, 2005, "Simple improved confidence intervals for
comparing matched proportions"): where no sample changed, few samples are still no proof that none ever does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nncompress.feeds.specs import Array

_Z = 1.959964  # 95 % of a normal distribution
_RESAMPLES, _SHARE = 400, 0.025

Interval = tuple[float, float]


def interval_of(lost: Array) -> Interval:
    """95 % interval of the mean of `lost` [samples]: the share (0 to 1, or a part of it) that each sample lost."""
    count = len(lost) + 2
    mean = float(lost.sum()) / count
    variance = max((float(np.square(lost).sum()) + 1) / count - mean**2, 0.0)
    around = _Z * math.sqrt(variance / count)
    return mean - around, mean + around


def resampled(count: int, drop: Callable[[Array], float], seed: int = 0) -> Interval:
    """The same of any figure of some of `count` samples, `drop` of their numbers, by drawing samples again and again;
    no narrower than that of a share none of which changed."""
    rng = np.random.default_rng(seed)
    drops = np.sort([drop(rng.integers(0, count, count)) for _ in range(_RESAMPLES)])
    low, high = np.quantile(drops, [_SHARE, 1 - _SHARE])
    least = interval_of(np.zeros(count))
    whole = drop(np.arange(count))
    return min(float(low), whole + least[0]), max(float(high), whole + least[1])
