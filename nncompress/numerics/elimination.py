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

_TOGETHER = 128  # columns that are taken from an inverse at once


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


class _State:
    """One reader with some channels gone."""

    def __init__(self, reader: Reader) -> None:
        h, r = reader.quadratic.h, reader.quadratic.r
        self._scale = np.sqrt(np.einsum("gjj->gj", h))
        scaled = (h / self._scale[:, :, None] / self._scale[:, None]).astype(np.float32)
        inverses = inverse(scaled)
        values = ((r / self._scale[:, None]).astype(np.float32)) @ inverses
        self._parts = [_Part(*each) for each in zip(reader.channels, inverses, values, strict=True)]
        power = float(((reader.exact @ h) * reader.exact).sum())
        self._power = power if power > 0 else 1.0
        self.lost = 0.0

    def costs(self, stays: np.ndarray) -> np.ndarray:
        """What removing each channel would add to the share that is lost; those that are gone cost nothing."""
        costs = np.zeros(len(stays))
        for part in self._parts:
            own = np.flatnonzero(stays[part.channels])
            costs[part.channels[own]] += part.costs(own)
        return costs / self._power

    def remove(self, channel: int) -> None:
        """Its columns become zero, and the others make up for it."""
        self.lost += sum(part.remove(channel) for part in self._parts) / self._power

    def matrix(self) -> np.ndarray:
        """As it is, float64."""
        out: np.ndarray = np.stack([part.values for part in self._parts]) / self._scale[:, None]
        return out


class _Part:
    """One group of a reader. float32: what is chosen by small differences is as good as its rival.

    What channels going takes from H^-1 is kept as factors, and taken only when these are many: until then only its
    diagonal blocks are up to date, and those of W^T W, by which a cost is tr([H^-1]_BB^-1 [W^T W]_BB).
    """

    def __init__(self, numbers: np.ndarray, h: np.ndarray, values: np.ndarray) -> None:
        """Of the channel of each input, H^-1 and W [outputs, inputs]; these become the state."""
        self.channels = np.unique(numbers)
        self.values = values
        self._columns = np.argsort(numbers, kind="stable").reshape(len(self.channels), -1)  # [channels, k]
        self._h, self._there = h, np.ones((len(h), 1), np.float32)
        self._taken: list[tuple[np.ndarray, np.ndarray]] = []
        self._blocks = h[self._columns[:, :, None], self._columns[:, None]].astype(np.float64)
        own = values[:, self._columns]
        self._squares = np.einsum("ock,ocl->ckl", own, own, optimize=True, dtype=np.float64)

    def costs(self, some: np.ndarray) -> np.ndarray:
        """Of some channels, by place."""
        costs: np.ndarray = np.trace(np.linalg.solve(self._blocks[some], self._squares[some]), axis1=1, axis2=2)
        return costs

    def remove(self, channel: int) -> float:
        """Makes its columns zero; by how much the sum grows."""
        lost = 0.0
        for columns in self._columns[self.channels == channel]:
            across, own = self._columns_of_h(columns), self.values[:, columns]
            within = across[columns]
            lost += float((np.linalg.solve(within, own.T) * own.T).sum(dtype=np.float64))
            rows = np.linalg.solve(within, across.T)
            self._follow(across, rows, own)
            self.values -= own @ rows
            self.values[:, columns] = self._there[columns] = 0
            self._taken.append((across, rows))
            if sum(len(rows) for _, rows in self._taken) >= _TOGETHER:
                self._h -= self._waiting(slice(None))
                self._taken = []
        return lost

    def _columns_of_h(self, columns: np.ndarray) -> np.ndarray:
        """[inputs, k] of H^-1 as it is by now: zero where inputs are gone."""
        across: np.ndarray = self._h[:, columns]
        if self._taken:
            across = across - self._waiting(columns)
        return across * self._there

    def _waiting(self, columns: np.ndarray | slice) -> np.ndarray:
        """What is still to be taken from these columns of H^-1."""
        across, rows = zip(*self._taken, strict=True)
        waiting: np.ndarray = np.concatenate(across, axis=1) @ np.concatenate([row[:, columns] for row in rows])
        return waiting

    def _follow(self, across: np.ndarray, rows: np.ndarray, own: np.ndarray) -> None:
        """The diagonal blocks of H^-1, and of W^T W."""
        left, right = across[self._columns], rows[:, self._columns].transpose(1, 0, 2)  # [channels, k, k]
        met = (own.T @ self.values)[:, self._columns].transpose(1, 0, 2)
        half = right.transpose(0, 2, 1) @ (met - (own.T @ own) @ right / 2)
        self._blocks -= left @ right
        self._squares -= half + half.transpose(0, 2, 1)
