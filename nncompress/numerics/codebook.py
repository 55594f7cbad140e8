"""A weight of few different values: the index of each in a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.held import Held, Plain

MOST_VALUES = 256  # of a table that one byte is an index of


@dataclass(frozen=True)
class Codebook:
    """`codes` (uint8, shape of the weight) and what they stand for: `values` [k], where code 0 is the value 0."""

    codes: Held
    values: np.ndarray
    shape: tuple[int, ...]
    nonzeros: int

    def decode(self) -> np.ndarray:
        """The values, in the shape of the weight."""
        decoded: np.ndarray = self.values[self.codes.load()]
        return decoded

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`."""
        decoded: np.ndarray = self.values[self.codes.load().reshape(-1)[places]]
        return decoded

    def arrays(self) -> Mapping[str, Held]:
        """The codes and the table."""
        return {"codes": self.codes, "values": Plain(self.values)}


@dataclass(frozen=True)
class Filled:
    """A weight all of whose elements are the one `value` (of its type, no axes)."""

    value: np.ndarray
    shape: tuple[int, ...]

    def decode(self) -> np.ndarray:
        """The value at every place."""
        return np.broadcast_to(self.value, self.shape)

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The value, as often as there are places."""
        return np.broadcast_to(self.value, places.shape)

    def arrays(self) -> Mapping[str, Held]:
        """The value."""
        return {"value": Plain(self.value)}
