"""Sums over all rows of a value, a row for each position but those along the axis of its channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import numpy as np


class RowSum(Protocol):
    """Sums up rows [n, channels]."""

    def add(self, rows: np.ndarray) -> None: ...


R = TypeVar("R", bound=RowSum)


class AlongAxes(Generic[R]):
    """Of one value along each of the axes that may have its channels, in what `begin(channels)` makes. Pickles where
    `begin` does."""

    def __init__(self, axes: Iterable[int], begin: Callable[[int], R]) -> None:
        self.sums: dict[int, R | None] = dict.fromkeys(axes)  # None: empty so far
        self._begin = begin

    def add(self, array: np.ndarray) -> None:
        """The value for one feed more; a vector is one row."""
        for axis, known in self.sums.items() if array.size else ():
            rows = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]) if array.ndim > 1 else array[None]
            self.sums[axis] = known = known or self._begin(rows.shape[1])
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is not known
                known.add(rows)
