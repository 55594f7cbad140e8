"""A weight of few different values: the index of each in a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.held import Held, Plain

MOST_VALUES = 256  # of a table that one byte is an index of


@dataclass(frozen=True)
class Codebook:
    """`codes` (uint8, of `codes_shape`) and what they stand for: `values` [k], times a `scale` (float32, broadcasting
    against the codes) if there is one. `nonzeros`: codes that are not 0.

    `codes_shape` is `shape`, that of the weight, or another one of as many elements in the same order."""

    codes: Held
    values: np.ndarray
    shape: tuple[int, ...]
    codes_shape: tuple[int, ...]
    nonzeros: int
    scale: np.ndarray | None = None

    @property
    def bits(self) -> int:
        """That each code needs."""
        return max(1, (len(self.values) - 1).bit_length())

    def decode(self) -> np.ndarray:
        """The values, in the shape of the weight."""
        decoded: np.ndarray = self.values[self.codes.load()]
        if self.scale is None:
            return decoded
        scaled: np.ndarray = (decoded * self.scale).reshape(self.shape)
        return scaled

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`."""
        decoded: np.ndarray = self.values[self.codes.load().reshape(-1)[places]]
        if self.scale is None:
            return decoded
        index = np.unravel_index(places, self.codes_shape)
        scaled: np.ndarray = decoded * np.broadcast_to(self.scale, self.codes_shape)[index]
        return scaled

    def arrays(self) -> Mapping[str, Held]:
        """The codes, the table and the scale."""
        scale = {} if self.scale is None else {"scale": Plain(self.scale)}
        return {"codes": self.codes, "values": Plain(self.values), **scale}


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
