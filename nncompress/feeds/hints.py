"""What was likely meant by samples that do not fit a model: the numpy call that makes them fit, or where they go."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nncompress.errors import nearest

Sizes = Sequence[int | str | None]
"""Of an input; str or None: the size is free."""

_MOST_AXES = 6  # of an array that is looked at: orders of more axes are many
_LABELS = ("label", "labels", "target", "targets", "class", "classes", "y_true", "y_test", "y", "gt", "ground_truth")
_BATCHES = (None, -1)


def fits_sizes(shape: Sequence[int], wanted: Sizes) -> bool:
    """Whether rank and fixed sizes agree."""
    return len(shape) == len(wanted) and all(
        not isinstance(want, int) or want == size for want, size in zip(wanted, shape, strict=True)
    )


def shape_hint(shape: Sequence[int], wanted: Sizes) -> str:
    """Such as ": np.transpose(x, (0, 3, 1, 2)) makes it fit"; "" where nothing obvious does."""
    call = next(_calls(tuple(shape), wanted), None) if len(shape) <= _MOST_AXES else None
    return f": {call} makes it fit" if call else ""


def type_hint(found: np.dtype[Any], wanted: np.dtype[Any]) -> str:
    """How an array of one type is made one of another, and when that is right."""
    cast = f'x.astype("{wanted.name}")'
    if found.kind in "iu" and wanted.kind == "f":
        scaled = f"{cast} / 255" if found == np.uint8 else cast
        return f": scale it as in training, such as {scaled}"
    if found.kind == "f" and wanted.kind in "iu":
        return f": {cast} if it holds whole numbers"
    return f": {cast} converts it" if found.kind in "iufb" else ""


def name_hint(name: str, known: Sequence[str]) -> str:
    """Where an array of this name likely belongs, beside the `known` inputs of the model."""
    near = nearest(name, known)
    if near:
        return near
    if name.lower() in _LABELS:
        return f" (labels are an array 'labels', or a file of their own given with --labels; {_inputs(known)})"
    if len(known) == 1:
        return f" ({_inputs(known)}: name it in np.savez(path, {known[0]}=x))"
    return f" ({_inputs(known)})"


def labels_hint(names: Iterable[str]) -> str:
    """Which of these arrays are likely labels."""
    likely = [name for name in names if name.lower() in _LABELS]
    return f" (is it {likely[0]!r}? np.savez(path, labels=x) names it)" if likely else ""


def one_hot_hint(labels: np.ndarray[Any, Any]) -> str:
    """For labels [N, classes] with one 1 in each row."""
    if labels.ndim < 2 or labels.shape[-1] < 2 or labels.dtype.kind not in "iubf":
        return ""
    ones = (labels == 1).sum(axis=-1) == 1
    alike = ones & ((labels != 0).sum(axis=-1) == 1)
    return ": they are one-hot, labels.argmax(-1) makes numbers of them" if alike.all() else ""


def _calls(shape: tuple[int, ...], wanted: Sizes) -> Iterator[str]:
    """What makes an array of this shape fit, the likeliest first."""
    for order in _orders(len(shape)):
        if fits_sizes([shape[axis] for axis in order], wanted):
            yield f"np.transpose(x, {order})"
    for axis in range(len(wanted)):
        if fits_sizes((*shape[:axis], 1, *shape[axis:]), wanted):
            yield f"np.expand_dims(x, {axis})"
    for order in _orders(len(shape)):
        if fits_sizes((1, *(shape[axis] for axis in order)), wanted):
            yield f"np.expand_dims(np.transpose(x, {order}), 0)"
    for axis in (axis for axis, size in enumerate(shape) if size == 1):
        if fits_sizes((*shape[:axis], *shape[axis + 1 :]), wanted):
            yield f"np.squeeze(x, {axis})"
    fixed = [size for size in wanted[1:] if isinstance(size, int)]
    if shape and len(fixed) == len(wanted) - 1 and math.prod(shape[1:]) == math.prod(fixed):
        yield f"x.reshape({', '.join(map(str, (-1, *fixed)))})"


def _orders(axes: int) -> list[tuple[int, ...]]:
    """Orders of axes but the given one: those that leave the first in place, and then most others, before the rest."""
    every = itertools.permutations(range(axes))
    return sorted(every, key=lambda order: (order[0] != 0, _inversions(order)))[1:]


def _inversions(order: tuple[int, ...]) -> int:
    return sum(left > right for left, right in itertools.combinations(order, 2))


def _inputs(known: Sequence[str]) -> str:
    return f"its inputs: {', '.join(map(repr, known))}" if len(known) != 1 else f"its input is {known[0]!r}"
