"""Whether two models read the same sequences: for outputs whose steps are not those of an input, as of text readers.

Such outputs [batch, steps, classes] are made for connectionist temporal classification (Graves et al., 2006): what
counts is the largest element of each step, with repeats merged and the blank left out. Where one model turns to the
next class a step earlier, nothing changed. The blank is the class that most steps of the original have.
"""

from __future__ import annotations

import numpy as np

from nncompress.feeds.specs import Array, Feed
from nncompress.runtime.session import OutputArray
from nncompress.validate.metrics.sequence_errors import edit_distance
from nncompress.validate.structure import as_array

_LEAST_CLASSES = 3
_RANK = 3


class Sequences:
    """Counts over all feeds for one output."""

    def __init__(self) -> None:
        self._applies = True
        self._blank: int | None = None
        self._edits = self._length = 0

    def add(self, reference: OutputArray, candidate: OutputArray, feed: Feed) -> None:
        """One feed, and what both models made of it."""
        ours, theirs = as_array(reference), as_array(candidate)
        if not self._applies or not _are_steps(ours, feed) or ours.shape != theirs.shape:
            self._applies = False
            return
        batch = next((len(array) for array in feed.values() if array.ndim), 1)
        rows, others = (_by_sample(each, batch) for each in (ours, theirs))
        if self._blank is None:
            self._blank = int(np.bincount(rows.reshape(-1)).argmax())
        for own, other in zip(rows, others, strict=True):
            said, changed = (self._said(tokens) for tokens in (own, other))
            self._edits += edit_distance(changed, said)
            self._length += len(said)

    def edited(self) -> tuple[float, int] | None:
        """Insertions, deletions and substitutions, as a share of all that the original says, and how much that is; None
        where the output is no such sequence."""
        if not self._applies or not self._length:
            return None
        return self._edits / self._length, self._length

    def _said(self, tokens: Array) -> Array:
        merged = tokens[np.concatenate([[True], tokens[1:] != tokens[:-1]])]
        said: Array = merged[merged != self._blank]
        return said


def _are_steps(output: object, feed: Feed) -> bool:
    """True for [batch, steps, classes], or [steps, batch, classes], with as many steps as no axis of an input has."""
    if not isinstance(output, np.ndarray) or output.ndim != _RANK or output.dtype.kind != "f" or not output.size:
        return False
    if output.shape[-1] < _LEAST_CLASSES:
        return False
    sizes = {size for array in feed.values() if isinstance(array, np.ndarray) for size in array.shape}
    batch = next((len(array) for array in feed.values() if array.ndim), 1)
    steps = [size for place, size in enumerate(output.shape[:2]) if output.shape[1 - place] == batch]
    return any(size not in sizes for size in steps)


def _by_sample(output: Array, batch: int) -> Array:
    """The largest element of each step [batch, steps]."""
    best: Array = np.argmax(output, axis=-1)
    return best if len(best) == batch else best.T
