"""What second-order repair knows of the inputs of a weight: sums of x^ x^T, of x x^T, and of both, over rows.

x are the inputs in the original network, x^ those in the network as it is now. Products of float32 rows are float32;
blocks of them are added up in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nncompress.numerics.threads import in_threads

_ROWS = 2048  # whose products are summed in float32
_PANEL = 1024  # inputs whose products a thread sums up at a time


@dataclass(frozen=True)
class Gram:
    """Of rows [groups, n, inputs]; `cross` is None where x^ is x."""

    count: int
    own: np.ndarray  # sum of x^ x^T [groups, inputs, inputs]
    cross: np.ndarray | None  # sum of x x^T, x from the original
    mean: np.ndarray  # sum of x^ [groups, inputs]
    mean_before: np.ndarray  # sum of x

    def with_(self, other: Gram) -> Gram:
        """What both have seen."""
        crossed = self.cross is not None or other.cross is not None
        mine, theirs = (each.own if each.cross is None else each.cross for each in (self, other))
        return Gram(
            self.count + other.count, self.own + other.own, mine + theirs if crossed else None,
            self.mean + other.mean, self.mean_before + other.mean_before,
        )  # fmt: skip

    def of_groups(self, some: np.ndarray) -> Gram:
        """Those of some groups, by number."""
        cross = None if self.cross is None else self.cross[some]
        return Gram(self.count, self.own[some], cross, self.mean[some], self.mean_before[some])


class GramSum:
    """A Gram that grows. Which threads there are changes no digit: each sums up panels of its own."""

    def __init__(self, groups: int, inputs: int, *, crossed: bool, threads: int = 1) -> None:
        square, row = (groups, inputs, inputs), (groups, inputs)
        self._gram = Gram(0, np.zeros(square), np.zeros(square) if crossed else None, np.zeros(row), np.zeros(row))
        self._threads, self._count = threads, 0
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, now: np.ndarray, before: np.ndarray) -> None:
        """Counts in rows x^ and the rows x beside them."""
        self._waiting.append((now, before))
        if sum(rows.shape[1] for rows, _ in self._waiting) >= _ROWS:
            self._sum_up()

    def total(self) -> Gram:
        """Of all rows so far."""
        self._sum_up()
        for matrix in self._gram.own:
            for panel in self._panels():
                matrix[: panel.start, panel] = matrix[panel, : panel.start].T
        return replace(self._gram, count=self._count)

    def _panels(self) -> list[slice]:
        inputs = self._gram.own.shape[2]
        return [slice(place, min(inputs, place + _PANEL)) for place in range(0, inputs, _PANEL)]

    def _sum_up(self) -> None:
        if not self._waiting:
            return
        now, before = (np.concatenate(rows, axis=1) for rows in zip(*self._waiting, strict=True))
        self._waiting = []
        for start in range(0, now.shape[1], _ROWS):
            self._add(now[:, start : start + _ROWS], before[:, start : start + _ROWS])

    def _add(self, now: np.ndarray, before: np.ndarray) -> None:
        gram = self._gram

        def add_panel(part: tuple[bool, slice]) -> None:
            crossed, panel = part
            if crossed and gram.cross is not None:
                gram.cross[:, panel] += _products(before[:, :, panel], now)
            else:  # of the others it is the mirror image
                gram.own[:, panel, : panel.stop] += _products(now[:, :, panel], now[:, :, : panel.stop])

        crosses = [False] if gram.cross is None else [True, False]
        in_threads(add_panel, [(crossed, panel) for panel in self._panels() for crossed in crosses], self._threads)
        self._count += now.shape[1]
        gram.mean[...] += now.sum(axis=1, dtype=np.float64)
        gram.mean_before[...] += before.sum(axis=1, dtype=np.float64)


def _products(others: np.ndarray, rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # of inputs beyond 1e19
        products: np.ndarray = others.transpose(0, 2, 1) @ rows
    return products
