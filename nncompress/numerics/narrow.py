"""An array in a type of fewer bytes, from which a Cast makes the wider type again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.held import Held


@dataclass(frozen=True)
class Narrow:
    """`values` in the shape of the weight, of `dtype`, from which a Cast makes the type `wide` again."""

    values: Held
    shape: tuple[int, ...]
    dtype: np.dtype
    nonzeros: int | None  # None: there are zeros with a sign, which no sparse layout keeps
    wide: np.dtype

    def decode(self) -> np.ndarray:
        """The values in the wide type."""
        return self.values.load().astype(self.wide)

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`, in the wide type."""
        values: np.ndarray = self.values.load().reshape(-1)[places].astype(self.wide)
        return values

    def arrays(self) -> Mapping[str, Held]:
        """The values."""
        return {"values": self.values}
