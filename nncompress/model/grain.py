"""How finely a weight is scaled: the shape in which each channel is an index, and along which axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nncompress.model.weights import Weight
from nncompress.numerics.channels import Groups


@dataclass(frozen=True)
class Split:
    """Adjacent axes of a weight that became two others."""

    first: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Grain:
    """The weight reshaped to `shape`, in which every index along `channel_axes` has a scale of its own.

    `shape` is that of the weight but for axes that became two others: those along which indices in a row share a
    channel, as in a ConvTranspose with groups, where [C, M/g, k...] is [g, C/g, M/g, k...] with the channel axes 0 and
    2; or inputs in blocks, where [M, C, k, k] is [M, C k k / 32, 32] with the channel axes 0 and 1.
    """

    shape: tuple[int, ...]
    channel_axes: tuple[int, ...]
    split: Split | None = None
    block_axis: int | None = None  # one of the channel axes: along it, parts of one and the same channel are numbered

    @property
    def outputs(self) -> np.ndarray:
        """int [channels]: the channel of the weight to which each one belongs, numbered from 0."""
        own = [axis for axis in self.channel_axes if axis != self.block_axis]
        numbers = np.arange(math.prod(self.shape[axis] for axis in own))
        kept = numbers.reshape([self.shape[axis] if axis in own else 1 for axis in self.channel_axes])
        return np.broadcast_to(kept, [self.shape[axis] for axis in self.channel_axes]).reshape(-1)

    @property
    def input_axis(self) -> int | None:
        """The longest axis along which inputs, or the columns of a table, are numbered; None if there is none."""
        rest = [axis for axis in range(len(self.shape)) if axis not in self.channel_axes]
        return max(rest, key=lambda axis: self.shape[axis], default=None) if self.channel_axes else None

    def fitted(self, numbers: np.ndarray) -> np.ndarray:
        """What broadcasts against the weight as something that broadcasts against `shape`."""
        if self.split is None:
            return numbers
        first, sizes = self.split.first, self.split.sizes
        end = first + len(sizes)
        before, own, behind = numbers.shape[:first], numbers.shape[first:end], numbers.shape[end:]
        if set(own) == {1}:
            return numbers.reshape(*before, 1, 1, *behind)
        whole = np.broadcast_to(numbers, (*before, *sizes, *behind))
        return whole.reshape(*before, *self.shape[first : first + 2], *behind)

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
        Split(split, (shape[split],)),
    )


def in_blocks(grain: Grain, most: int) -> Grain:
    """The same with a scale for each block of at most so many inputs of a channel: as many as divide the longest run of
    adjacent input axes; as it was where that are fewer than half of `most`."""
    runs = [run for run in _runs(grain) if math.prod(grain.shape[axis] for axis in run) > most]
    if grain.split is not None or not grain.channel_axes or not runs:
        return grain
    run = max(runs, key=lambda run: math.prod(grain.shape[axis] for axis in run))
    sizes = tuple(grain.shape[axis] for axis in run)
    total, first = math.prod(sizes), run[0]
    block = _dividing(total, most)
    if block is None:
        return grain
    axes = {axis if axis < first else axis + 2 - len(run) for axis in grain.channel_axes}
    shape = (*grain.shape[:first], total // block, block, *grain.shape[first + len(run) :])
    return Grain(shape, tuple(sorted({*axes, first})), Split(first, sizes), first)


def in_groups(grain: Grain, most: int) -> Groups | None:
    """At most so many outputs in a row along the longest axis of outputs: as many as divide it; None where those are
    fewer than half of `most`, or all of them."""
    beside = None if grain.split is None else grain.split.first
    axes = [axis for axis in grain.channel_axes if axis != beside]
    axis = max(axes, key=lambda axis: grain.shape[axis], default=None)
    if axis is None or grain.shape[axis] <= most:
        return None
    size = _dividing(grain.shape[axis], most)
    return None if size is None else Groups(axis, size)


def _dividing(total: int, most: int) -> int | None:
    """The largest divisor up to `most`; None where that is less than half of it."""
    size = next(size for size in range(most, 0, -1) if total % size == 0)
    return None if 2 * size < most else size


def _runs(grain: Grain) -> list[list[int]]:
    """Adjacent axes that are no channels."""
    runs: list[list[int]] = []
    for axis in (axis for axis in range(len(grain.shape)) if axis not in grain.channel_axes):
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def per_tensor(weight: Weight) -> Grain:
    """All of it as one channel."""
    return Grain(weight.shape, ())
