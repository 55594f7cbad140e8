"""Which channels matrices can do without, and what the others become, so that what is computed moves least.

    |W x - Z x^|^2 = tr(Z H Z^T) - 2 tr(Z R^T) + const      H, R as in second_order.py

Where the columns B of a matrix become zero, and all others make up for it, the sum grows by

    tr(W_B [H^-1]_BB^-1 W_B^T)      W -= W_B [H^-1]_BB^-1 [H^-1]_B:      H^-1 -= [H^-1]_:B [H^-1]_BB^-1 [H^-1]_B:

(the surgeon of Hassibi and Stork, 1992, with blocks for single weights; Kurtic et al., 2022, "The optimal BERT
surgeon"). Channels go one by one, always the one that costs least by then. Where several matrices read them, shares of
what each computes are added up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.definite import inverse
from nncompress.numerics.second_order import Quadratic


@dataclass(frozen=True)
class Reader:
    """A matrix [groups, outputs, inputs] as it was, its quadratic, and the channel of each input [groups, inputs]: of
    those that a group has at all it has as many inputs each."""

    exact: np.ndarray
    quadratic: Quadratic
    channels: np.ndarray


@dataclass(frozen=True)
class Eliminated:
    """Channels that stay, in order; the matrices; and the largest share of what one computes that is lost."""

    kept: np.ndarray
    matrices: list[np.ndarray]
    lost: float


def eliminated(readers: Sequence[Reader], least: int, multiple: int, most_lost: float) -> Eliminated:
    """As few channels as leave no reader without more than that share of the sum of squares of what it computes, at
    least `least`, and a multiple of `multiple` unless all stay. Raises LinAlgError for inputs that are too much
    alike."""
    states = [_State(reader) for reader in readers]
    channels = 1 + int(readers[0].channels.max())
    stays = np.ones(channels, bool)
    best = Eliminated(np.arange(channels), [reader.exact for reader in readers], 0.0)
    while np.count_nonzero(stays) > least:
        costs = sum(state.costs(stays) for state in states)
        gone = int(np.argmin(np.where(stays, costs, np.inf)))
        stays[gone] = False
        for state in states:
            state.remove(gone)
        lost = max(state.lost for state in states)
        if not (lost <= most_lost and math.isfinite(lost)):
            break
        left = int(np.count_nonzero(stays))
        if left % multiple == 0 and left >= least:
            best = Eliminated(np.flatnonzero(stays), [state.matrix() for state in states], lost)
    return best


@dataclass(frozen=True)
class _Part:
    """Channels that one group has, and their inputs there [channels, k]."""

    channels: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray) -> _Part:
        """Of the channel of each input."""
        channels = np.unique(numbers)
        return cls(channels, np.argsort(numbers, kind="stable").reshape(len(channels), -1))


class _State:
    """One reader with some channels gone. float32: what is chosen by small differences is as good as its rival."""

    def __init__(self, reader: Reader) -> None:
        h, r = reader.quadratic.h, reader.quadratic.r
        self._scale = np.sqrt(np.einsum("gjj->gj", h))
        scaled = (h / self._scale[:, :, None] / self._scale[:, None]).astype(np.float32)
        self._inverse = inverse(scaled)
        self._values = ((r / self._scale[:, None]).astype(np.float32)) @ self._inverse
        self._parts = [_Part.of(channels) for channels in reader.channels]
        power = float(((reader.exact @ h) * reader.exact).sum())
        self._power = power if power > 0 else 1.0
        self.lost = 0.0

    def costs(self, stays: np.ndarray) -> np.ndarray:
        """What removing each channel would add to the share that is lost; those that are gone cost nothing."""
        costs = np.zeros(len(stays))
        for part, h, values in zip(self._parts, self._inverse, self._values, strict=True):
            own = np.flatnonzero(stays[part.channels])
            columns = part.columns[own]
            within = h[columns[:, :, None], columns[:, None, :]]
            costs[part.channels[own]] += _cost(values[:, columns].transpose(1, 2, 0), within)
        return costs / self._power

    def remove(self, channel: int) -> None:
        """Its columns become zero, and the others make up for it."""
        for part, h, values in zip(self._parts, self._inverse, self._values, strict=True):
            for columns in part.columns[part.channels == channel]:
                own, within = values[:, columns], h[np.ix_(columns, columns)]
                self.lost += float(_cost(own.T, within)) / self._power
                rows = np.linalg.solve(within, h[columns])
                values -= own @ rows
                h -= h[:, columns] @ rows
                values[:, columns] = h[:, columns] = h[columns] = 0

    def matrix(self) -> np.ndarray:
        """As it is, float64."""
        out: np.ndarray = self._values / self._scale[:, None]
        return out


def _cost(values: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Of columns [..., k, outputs] to be zero, where [H^-1]_BB is `within`."""
    cost: np.ndarray = (np.linalg.solve(within, values) * values).sum(axis=(-2, -1), dtype=np.float64)
    return cost
