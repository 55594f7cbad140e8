"""Encoded: what any pass makes of a weight's values, and all that forms, containers and reports know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from nncompress.numerics.held import Held


class Encoded(Protocol):
    """A weight in another representation than its values, independent of any graph."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""
        ...

    def decode(self) -> np.ndarray:
        """The values, in the shape of the weight."""
        ...

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """What `decode` has at row-major positions `places` (int64 [n], ascending), without computing the rest: [n]."""
        ...

    def arrays(self) -> Mapping[str, Held]:
        """All that it consists of, by name: what is laid out in a file, or coded in a container."""
        ...
