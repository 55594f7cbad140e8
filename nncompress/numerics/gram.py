"""What second-order repair knows of the inputs of a weight: sums of x^ x^T, of x x^T, and of both, over rows.

x are the inputs in the original network, x^ those in the network as it is now. Products of float32 rows are float32;
blocks of them are added up in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROWS = 1024  # whose products are summed in float32
_WIDE = 64  # inputs of a group


@dataclass
class Gram:
    """Of rows [groups, n, inputs]; `cross` is None where x^ is x."""

    count: int
    own: np.ndarray  # sum of x^ x^T [groups, inputs, inputs]
    cross: np.ndarray | None  # sum of x x^T, x from the original
    mean: np.ndarray  # sum of x^ [groups, inputs]
    mean_before: np.ndarray  # sum of x

    @classmethod
    def of(cls, groups: int, inputs: int, *, crossed: bool) -> Gram:
        """The one of no rows."""
        square, row = (groups, inputs, inputs), (groups, inputs)
        return cls(0, np.zeros(square), np.zeros(square) if crossed else None, np.zeros(row), np.zeros(row))

    def add(self, now: np.ndarray, before: np.ndarray) -> None:
        """Counts in rows x^ and the rows x beside them."""
        for start in range(0, now.shape[1], _ROWS):
            rows, others = now[:, start : start + _ROWS], before[:, start : start + _ROWS]
            _add_squares(self.own, rows)
            if self.cross is not None:
                self.cross += others.transpose(0, 2, 1) @ rows
        self.count += now.shape[1]
        self.mean += now.sum(axis=1, dtype=np.float64)
        self.mean_before += before.sum(axis=1, dtype=np.float64)

    def with_(self, other: Gram) -> Gram:
        """What both have seen."""
        crossed = self.cross is not None or other.cross is not None
        mine, theirs = (each.own if each.cross is None else each.cross for each in (self, other))
        return Gram(
            self.count + other.count, self.own + other.own, mine + theirs if crossed else None,
            self.mean + other.mean, self.mean_before + other.mean_before,
        )  # fmt: skip


def _add_squares(total: np.ndarray, rows: np.ndarray) -> None:
    """Adds x^T x of each group; numpy computes half of it where it sees that both factors are the same matrix."""
    if rows.shape[2] < _WIDE:
        total += rows.transpose(0, 2, 1) @ rows
        return
    for own, matrix in zip(total, rows, strict=True):
        own += matrix.T @ matrix
