"""What the arrays of a value are like; a module of its own, as child processes need no more of models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kind:
    """What an array is like; None where it differs, or for texts."""

    dtype: np.dtype | None
    rank: int | None
