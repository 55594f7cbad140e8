"""Values so small that what is computed with them is denormal: processors take many times as long for such numbers."""

from __future__ import annotations

import numpy as np

TINY = 1e-30  # and what is below it: products with what usually goes in may be denormal
_MUCH = 1e-20  # beside which that is nothing


def without_tiny(array: np.ndarray) -> np.ndarray:
    """Values as good as 0 beside the largest become 0, as those of channels that training has given up: what few bits
    make of such a channel would be denormal throughout."""
    tiny = (array < TINY) & (array > -TINY) & (array != 0)
    if not tiny.any() or max(float(array.max()), -float(array.min())) < _MUCH:
        return array
    return np.where(tiny, array.dtype.type(0), array)
