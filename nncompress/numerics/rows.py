"""Cuts activations into the rows that a weight is multiplied by: along an axis, or the patches under a kernel.

Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing" (2006), unroll a
convolution so; here only those rows are made that are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Index = tuple[Any, ...]


class Cut(Protocol):
    """How a value becomes rows. Hashable, pickles."""

    def count(self, shape: tuple[int, ...]) -> int:
        """Rows of a value of that shape."""
        ...

    def take(self, array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """The rows with these numbers: [groups, rows, inputs]."""
        ...


@dataclass(frozen=True)
class AlongAxis:
    """Each position but those along one axis is a row; a vector is one row."""

    axis: int

    def count(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) // shape[self.axis] if shape[self.axis] else 0

    def take(self, array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        moved = np.moveaxis(array, self.axis, -1)
        rows: np.ndarray = moved.reshape(-1, moved.shape[-1])[chosen][None]
        return rows


@dataclass(frozen=True)
class StatesBefore:
    """The states that each step of a recurrence but the first starts from: its results [steps, directions, N, hidden],
    a group for each direction; the last one runs backwards where `reverse` says so."""

    reverse: tuple[bool, ...]

    def count(self, shape: tuple[int, ...]) -> int:
        return max(0, shape[0] - 1) * shape[2]

    def take(self, array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        rows = [
            (array[1:, direction] if turned else array[:-1, direction]).reshape(-1, array.shape[3])[chosen]
            for direction, turned in enumerate(self.reverse)
        ]
        return np.stack(rows)


@dataclass(frozen=True)
class Patches:
    """What lies under the kernel of a convolution at each result: [N, C, d...] as rows of C/groups k... numbers.

    `pads` are those before and behind each axis; `spread` puts zeros between positions, which with `flipped` makes the
    patches of a transposed convolution.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...] | None  # None: as many as make strides alone decide, the odd one behind
    odd_before: bool = False  # where `pads` is None
    groups: int = 1
    spread: tuple[int, ...] | None = None
    flipped: bool = False

    def count(self, shape: tuple[int, ...]) -> int:
        return shape[0] * math.prod(self._results(shape[2:]))

    def take(self, array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        array = self._spread(array)
        sizes = array.shape[2:]
        padded = _padded(array, self._pads(sizes))
        windows = sliding_window_view(padded, self._reach, tuple(range(2, array.ndim)))
        windows = windows[(..., *self._every(self.dilations))]
        sample, *places = np.unravel_index(chosen, (array.shape[0], *self._results(sizes, spread=True)))
        at = [place * stride for place, stride in zip(places, self.strides, strict=True)]
        places_of_rows: Index = (sample, slice(None), *at)
        rows = windows[places_of_rows]  # [rows, C, k...]
        if self.flipped:
            rows = rows[(..., *self._every([-1] * len(self.kernel)))]
        cut: np.ndarray = rows.reshape(len(chosen), self.groups, -1).transpose(1, 0, 2)
        return cut

    def _every(self, steps: Sequence[int]) -> Index:
        return tuple(slice(None, None, step) for step in steps)

    @property
    def _reach(self) -> tuple[int, ...]:
        """Positions from the first to the last under the kernel."""
        return tuple((k - 1) * step + 1 for k, step in zip(self.kernel, self.dilations, strict=True))

    def _spread(self, array: np.ndarray) -> np.ndarray:
        if self.spread is None or set(self.spread) == {1}:
            return array
        sizes = [(d - 1) * step + 1 for d, step in zip(array.shape[2:], self.spread, strict=True)]
        apart = np.zeros((*array.shape[:2], *sizes), array.dtype)
        apart[(..., *self._every(self.spread))] = array
        return apart

    def _pads(self, sizes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        if self.pads is not None:
            return self.pads
        pads = []
        for size, stride, reach in zip(sizes, self.strides, self._reach, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + reach - size)
            small, large = total // 2, total - total // 2
            pads.append((large, small) if self.odd_before else (small, large))
        return tuple(pads)

    def _results(self, sizes: tuple[int, ...], *, spread: bool = False) -> tuple[int, ...]:
        if self.spread is not None and not spread:
            sizes = tuple((d - 1) * step + 1 for d, step in zip(sizes, self.spread, strict=True))
        padded = [size + sum(pad) for size, pad in zip(sizes, self._pads(sizes), strict=True)]
        return tuple(
            max(0, (size - reach) // stride + 1)
            for size, reach, stride in zip(padded, self._reach, self.strides, strict=True)
        )


@dataclass(frozen=True)
class InBlocks:
    """Other rows of one group, each cut into so many blocks of inputs, which are a group each."""

    cut: Cut
    blocks: int

    def count(self, shape: tuple[int, ...]) -> int:
        return self.cut.count(shape)

    def take(self, array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        rows = self.cut.take(array, chosen)[0]
        blocks: np.ndarray = rows.reshape(len(rows), self.blocks, -1).transpose(1, 0, 2)
        return blocks


def _padded(array: np.ndarray, pads: Sequence[tuple[int, int]]) -> np.ndarray:
    """With zeros before and behind the axes from the third on, and without what negative pads leave out."""
    inside: Index = tuple(slice(max(0, -first), d - max(0, -last)) for (first, last), d in zip(
        pads, array.shape[2:], strict=True))  # fmt: skip
    return np.pad(array[(..., *inside)], [(0, 0), (0, 0), *((max(0, first), max(0, last)) for first, last in pads)])


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of the numbers below `count`, evenly spaced."""
    if count <= most:
        return np.arange(count)
    return ((np.arange(most) + 0.5) * (count / most)).astype(np.int64)
