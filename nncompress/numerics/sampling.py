"""A sample of the values of a large weight, spread evenly over it, decoded without decoding the rest."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from nncompress.numerics.affine import Affine

RUNS, RUN_LENGTH = 32, 512  # neighbours are read together: a disk has pages


class Encoded(Protocol):
    """Anything that decodes to an array."""

    def decode(self) -> np.ndarray: ...


def sampled_places(size: int) -> np.ndarray:
    """Ascending positions among `size`: all of them, or of more than RUNS * RUN_LENGTH that many, in even runs."""
    if size <= RUNS * RUN_LENGTH:
        return np.arange(size)
    starts = np.linspace(0, size - RUN_LENGTH, RUNS).astype(np.int64)
    return (starts[:, None] + np.arange(RUN_LENGTH)).reshape(-1)


def decoded_at(encoded: Encoded, places: np.ndarray) -> np.ndarray:
    """What `encoded` decodes to at row-major positions `places`, in their order."""
    if not isinstance(encoded, Affine):
        return np.asarray(encoded.decode().reshape(-1)[places])
    index = np.unravel_index(places, encoded.shape)

    def picked(parameter: np.ndarray) -> np.ndarray:
        return np.broadcast_to(parameter, encoded.shape)[index].astype(np.float32)

    out: np.ndarray = encoded.codes.load()[index].astype(np.float32)
    if encoded.zero_point is not None:
        out -= picked(encoded.zero_point)
    out *= picked(encoded.scale)
    if encoded.input_scale is not None:
        out *= picked(encoded.input_scale)
    return out
