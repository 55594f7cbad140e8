"""Finds the scales of a weight whose values are whole multiples of them, as training with rounding leaves it.

    w = scale * (q - zero_point)   to the bit, with one scale a channel or one for all

The smallest magnitude of a channel is a small multiple of its scale, the largest one then says it to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nncompress.numerics.affine import Affine
from nncompress.numerics.channels import channel_view, undo_view
from nncompress.numerics.held import Computed

_MOST_STEPS = 255  # from the smallest to the largest code
_MULTIPLES = range(1, 17)  # that the smallest magnitude may be of the scale
_NEIGHBOURS = np.array([0, -1, 1, -2, 2], np.int32)  # of a scale that is rounded twice
_LEAST_SCALE, _LARGEST_VALUE = 1e-35, 1e38  # beyond, float32 has no neighbours of all that is computed


def exact_affine(array: np.ndarray, channel_axes: tuple[int, ...], read: Callable[[], np.ndarray]) -> Affine | None:
    """None where there are no such scales. `array` is float32; `read` returns the same array at any time."""
    flat, kept_shape = channel_view(array, channel_axes)
    channels, signed = flat.shape[1], True
    scale, zeros = np.ones(channels, np.float32), np.zeros(channels, np.int32)
    for channel in range(channels):
        found = _steps(np.ascontiguousarray(flat[:, channel]))
        if found is None:
            return None
        scale[channel], low, high = found
        signed &= low >= -128 and high <= 127
        zeros[channel] = -min(0, low)
        if max(0, high) - min(0, low) > _MOST_STEPS:
            return None
    zero_point = None if signed else zeros

    def codes() -> np.ndarray:
        whole, _ = channel_view(read(), channel_axes)
        whole = np.rint(whole / scale[:, None])
        whole += 0 if zero_point is None else zero_point[:, None]
        return undo_view(whole.astype(np.int8 if signed else np.uint8), array.shape, channel_axes)

    return Affine(
        Computed(codes), scale.reshape(kept_shape), None if zero_point is None else zero_point.reshape(kept_shape),
        array.shape, array.shape, signed, bits=8, nonzeros=int(np.count_nonzero(array)),
    )  # fmt: skip


def _steps(row: np.ndarray) -> tuple[np.float32, int, int] | None:
    """The scale, and the smallest and the largest multiple of it that there are."""
    magnitudes = np.abs(row[row != 0])
    if not magnitudes.size:
        return None if np.signbit(row).any() else (np.float32(1), 0, 0)
    smallest, largest = float(magnitudes.min()), float(magnitudes.max())
    if not (largest < _LARGEST_VALUE and smallest > _LEAST_SCALE):  # NaN is not below either
        return None
    for multiple in _MULTIPLES:
        steps = np.rint(multiple * largest / smallest)
        if steps > _MOST_STEPS:
            return None
        scale = np.float32(largest / steps)
        for near in (scale.view(np.int32) + _NEIGHBOURS).view(np.float32):
            whole = np.rint(row / near)
            whole += 0  # no -0, which no code means
            if np.array_equal((whole * near).view(np.uint32), row.view(np.uint32)):
                return near, int(whole.min()), int(whole.max())
    return None
