"""A weight seen as [before, channels, after], and the blocks of it that fit a processor's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_BLOCK_ELEMENTS = 1 << 17


@dataclass(frozen=True)
class Groups:
    """The indices along `axis` of a weight, `size` in a row at a time: a divisor of how many there are."""

    axis: int
    size: int

    def split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape with the axis apart: one that numbers the groups, and one within a group."""
        return (*shape[: self.axis], shape[self.axis] // self.size, self.size, *shape[self.axis + 1 :])

    def of_channels(self, shape: tuple[int, ...], channel_axes: tuple[int, ...]) -> np.ndarray:
        """int64 [channels], the group of each channel of the `channel_view` of a weight of that shape."""
        numbers = np.arange(shape[self.axis]) // self.size
        alone = numbers.reshape([-1 if axis == self.axis else 1 for axis in channel_axes])
        return np.broadcast_to(alone, [shape[axis] for axis in channel_axes]).reshape(-1)


def channel_view(weight: np.ndarray, channel_axes: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The weight as [before, channels, after], a view wherever the channel axes are adjacent, and the shape of a scale.

    Channels are numbered in the order of the flattened channel axes.
    """
    shape = weight.shape
    kept_shape = tuple(d if axis in channel_axes else 1 for axis, d in enumerate(shape))
    if not channel_axes:
        return weight.reshape(1, 1, -1), kept_shape
    if not _adjacent(channel_axes):
        order = (*channel_axes, *(a for a in range(len(shape)) if a not in channel_axes))
        channels = math.prod(shape[a] for a in channel_axes)
        return np.ascontiguousarray(weight.transpose(order)).reshape(1, channels, _rest(weight, channels)), kept_shape
    first, last = channel_axes[0], channel_axes[-1]
    before, channels = math.prod(shape[:first]), math.prod(shape[first : last + 1])
    return weight.reshape(before, channels, math.prod(shape[last + 1 :])), kept_shape


def _rest(weight: np.ndarray, channels: int) -> int:
    return weight.size // channels if channels else 0


def _adjacent(axes: tuple[int, ...]) -> bool:
    return axes == tuple(range(axes[0], axes[0] + len(axes)))


def undo_view(flat: np.ndarray, shape: tuple[int, ...], channel_axes: tuple[int, ...]) -> np.ndarray:
    """The weight of that shape again, from an array like that of `channel_view`."""
    if not channel_axes or _adjacent(channel_axes):
        return flat.reshape(shape)
    order = (*channel_axes, *(a for a in range(len(shape)) if a not in channel_axes))
    moved = flat.reshape([shape[a] for a in order])
    return np.ascontiguousarray(moved.transpose(np.argsort(order)))


def blocks(flat: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Slices of the first two axes of [before, channels, after] that hold about _BLOCK_ELEMENTS each."""
    before, channels, after = flat.shape
    rows = max(1, _BLOCK_ELEMENTS // max(1, after))
    if rows >= channels:
        step = max(1, rows // max(1, channels))
        for start in range(0, before, step):
            yield slice(start, start + step), slice(0, channels)
        return
    for index in range(before):
        for start in range(0, channels, rows):
            yield slice(index, index + 1), slice(start, start + rows)
