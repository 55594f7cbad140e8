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

    `codes_shape` is `shape`, that of the weight, or another one of as many elements in the same order. With a
    `group_axis`, each index along that axis of the codes has a table of its own: `values` is [groups, k] then."""

    codes: Held
    values: np.ndarray
    shape: tuple[int, ...]
    codes_shape: tuple[int, ...]
    nonzeros: int
    scale: np.ndarray | None = None
    group_axis: int | None = None

    @property
    def bits(self) -> int:
        """That each code needs."""
        return max(1, (int(self.values.shape[-1]) - 1).bit_length())

    @property
    def starts(self) -> np.ndarray | None:
        """int32, broadcasting against the codes: where in all `values` the table of each begins; None for one table."""
        if self.group_axis is None:
            return None
        groups, k = self.values.shape
        return np.arange(0, groups * k, k, dtype=np.int32).reshape([groups] + [1] * self._axes_behind)

    @property
    def _axes_behind(self) -> int:
        assert self.group_axis is not None, "there are groups"
        return len(self.codes_shape) - 1 - self.group_axis

    def decode(self) -> np.ndarray:
        """The values, in the shape of the weight."""
        codes, starts = self.codes.load(), self.starts
        decoded: np.ndarray = self.values.reshape(-1)[codes if starts is None else codes + starts]
        scaled: np.ndarray = decoded if self.scale is None else decoded * self.scale
        return scaled.reshape(self.shape)

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`."""
        index, codes = np.unravel_index(places, self.codes_shape), self.codes.load().reshape(-1)[places]
        if self.starts is not None:
            codes = codes + np.broadcast_to(self.starts, self.codes_shape)[index]
        decoded: np.ndarray = self.values.reshape(-1)[codes]
        if self.scale is None:
            return decoded
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
