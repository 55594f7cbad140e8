"""Count, mean and squared deviations of channels, summed up part by part (Chan, Golub and LeVeque, 1983).

    n = n_a + n_b,   d = mean_b - mean_a
    mean = mean_a + d n_b / n
    M2 = M2_a + M2_b + d^2 n_a n_b / n

M2, the sum of squared deviations from the mean, never comes out of two large sums that nearly cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


class Moments:
    """Of rows [n, channels], in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self.m2 = np.zeros(channels)

    def add(self, rows: np.ndarray) -> None:
        """Counts `rows` [n, channels] in."""
        if len(rows):
            exact = rows.astype(np.float64, copy=False)
            mean = exact.mean(axis=0)
            apart = exact - mean
            self._join(len(exact), mean, np.square(apart, out=apart).sum(axis=0))

    def merge(self, other: Moments) -> None:
        """Counts in what `other` has seen."""
        if other.count:
            self._join(other.count, other.mean, other.m2)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """count [], mean [channels], m2 [channels]."""
        return {"count": np.array(self.count), "mean": self.mean, "m2": self.m2}

    @property
    def squares(self) -> np.ndarray:
        """Sum of the squared values [channels]."""
        squares: np.ndarray = self.m2 + self.count * np.square(self.mean)
        return squares

    def squares_less(self, share: np.ndarray) -> np.ndarray:
        """Sum of the squared values [channels] after `share` of the mean, 0 to 1 a channel, was taken from all."""
        squares: np.ndarray = self.m2 + self.count * np.square(self.mean * (1 - share))
        return squares

    def _join(self, count: int, mean: np.ndarray, m2: np.ndarray) -> None:
        total = self.count + count
        apart = mean - self.mean
        self.mean = self.mean + apart * (count / total)
        self.m2 = self.m2 + m2 + np.square(apart) * (self.count * (count / total))
        self.count = total


def variance_of_mean(means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How far the mean of all samples would vary with other samples: [channels], from the mean of each sample, means
    [samples, channels], and its size, counts [samples]. Infinite for one sample, which tells nothing about that."""
    share = (counts / counts.sum())[:, None]
    apart = means - (share * means).sum(axis=0)
    if len(means) < 2:
        return np.full(means.shape[1], np.inf)
    variance: np.ndarray = np.square(share * apart).sum(axis=0) * (len(means) / (len(means) - 1))
    return variance


def shrunk(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """A mean [channels] measured with this variance, drawn towards 0 by what is noise in it: mean (1 - var / mean^2)+.

    The positive part of James and Stein's estimator (1961), channel by channel; 0 where the mean is not finite.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.maximum(0, 1 - variance / np.square(mean))
        return np.where(np.isfinite(mean) & (mean != 0), mean * np.where(np.isfinite(share), share, 0), 0)


@dataclass(frozen=True)
class Deviation:
    """How the result of one node moved: the original's minus what it is now, channel by channel."""

    moved: Moments  # by its own weights and by all that comes before it
    variance: np.ndarray  # of the mean of `moved`, as feeds differ [channels]
    alone: Moments  # by its own weights alone: on the inputs that it has in the original
    signal: float  # sum of the squares of the original result
