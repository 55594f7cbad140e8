"""Sparse storage of a dense array: which places are not zero, as gaps of few bits or a bit mask, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.held import Held

GAP_BITS = (8, 4)


@dataclass(frozen=True)
class Pruned:
    """A weight many of whose values are zero; otherwise exact. `values` has the shape and type of the weight."""

    values: Held
    shape: tuple[int, ...]
    nonzeros: int

    def decode(self) -> np.ndarray:
        """The values."""
        return self.values.load()

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`."""
        values: np.ndarray = self.values.load().reshape(-1)[places]
        return values

    def arrays(self) -> Mapping[str, Held]:
        """The values, zeros included."""
        return {"values": self.values}


def gaps_and_values(array: np.ndarray, bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The non-zeros of `array` in row-major order: `gaps` (uint8, each below 2^bits) and `values`, equally long.

    The running sum of the gaps is the place of each value. A gap that is larger is bridged by entries whose value is 0.
    """
    largest = 2**bits - 1
    flat = array.reshape(-1)
    places = np.flatnonzero(flat)
    distances = np.diff(places, prepend=0)
    bridges = np.maximum(distances - 1, 0) // largest
    ends = np.cumsum(bridges + 1) - 1  # where each real entry lands
    gaps = np.full(int(ends[-1]) + 1 if len(ends) else 0, largest, np.uint8)
    values = np.zeros(len(gaps), flat.dtype)
    gaps[ends] = distances - bridges * largest
    values[ends] = flat[places]
    return gaps, values


def entries_with_gaps(array: np.ndarray, bits: int = 8) -> int:
    """How many entries `gaps_and_values` makes."""
    places = np.flatnonzero(array.reshape(-1))
    distances = np.diff(places, prepend=0)
    return int(len(places) + (np.maximum(distances - 1, 0) // (2**bits - 1)).sum())


def mask_and_values(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where `array` is not zero, in row-major order (uint8, 0 or 1), and the values there."""
    flat = array.reshape(-1)
    nonzero = flat != 0
    return nonzero.view(np.uint8), flat[nonzero]
