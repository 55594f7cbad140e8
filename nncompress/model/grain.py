"""How finely a weight is scaled: the shape in which each channel is an index, and along which axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nncompress.model.weights import Weight


@dataclass(frozen=True)
class Grain:
    """The weight reshaped to `shape`, in which every index along `channel_axes` has a scale of its own.

    `shape` is that of the weight, but for an axis along which indices in a row share a channel, as in a ConvTranspose
    with groups [C, M/g, k...]: it becomes two, [g, C/g, M/g, k...] with the channel axes 0 and 2.
    """

    shape: tuple[int, ...]
    channel_axes: tuple[int, ...]
    split: int | None = None  # the axis of the weight that became two

    @property
    def input_axis(self) -> int | None:
        """The longest axis along which inputs, or the columns of a table, are numbered; None if there is none."""
        rest = [axis for axis in range(len(self.shape)) if axis not in self.channel_axes]
        return max(rest, key=lambda axis: self.shape[axis], default=None) if self.channel_axes else None

    def fitted(self, numbers: np.ndarray) -> np.ndarray:
        """What broadcasts against the weight as something that broadcasts against `shape`."""
        if self.split is None:
            return numbers
        before, own, behind = numbers.shape[: self.split], numbers.shape[self.split], numbers.shape[self.split + 1 :]
        return numbers.reshape(*before, *((1, 1) if own == 1 else self.shape[self.split :][:2]), *behind)

    @property
    def elements(self) -> int:
        """Of one channel."""
        return math.prod(d for axis, d in enumerate(self.shape) if axis not in self.channel_axes)


def grain_of(weight: Weight) -> Grain:
    """That of the channels of its main use."""
    shape, axes, shared = weight.shape, weight.channel_axes, weight.main_use.shared
    if shared is None or shape[shared[0]] % shared[1]:
        return Grain(shape, axes)
    split, run = shared
    return Grain(
        (*shape[:split], shape[split] // run, run, *shape[split + 1 :]),
        tuple(axis + (axis > split) for axis in axes),
        split,
    )


def per_tensor(weight: Weight) -> Grain:
    """All of it as one channel."""
    return Grain(weight.shape, ())
