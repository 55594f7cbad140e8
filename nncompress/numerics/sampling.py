"""Where to look at a sample of the values of a large weight, spread evenly over it."""

from __future__ import annotations

import numpy as np

RUNS, RUN_LENGTH = 32, 512  # neighbours are read together: a disk has pages


def sampled_places(size: int) -> np.ndarray:
    """Ascending positions among `size`: all of them, or of more than RUNS * RUN_LENGTH that many, in even runs."""
    if size <= RUNS * RUN_LENGTH:
        return np.arange(size)
    starts = np.linspace(0, size - RUN_LENGTH, RUNS).astype(np.int64)
    return (starts[:, None] + np.arange(RUN_LENGTH)).reshape(-1)
