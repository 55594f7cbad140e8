"""Token error rate: edit distance between what a model says and what is true, over the length of the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import TaskMetric
from nncompress.validate.metrics.paired import interval_of

_BLANK = 0
Decoder = Callable[[Array, Array], Array]
"""From the best tokens [T] and the labels [L] of one sample to the tokens that the model said."""


def best_tokens(tokens: Array, labels: Array) -> Array:
    """All of them; where there are as many as labels, those whose label is not negative (padding, ignored)."""
    said: Array = tokens[labels >= 0] if len(tokens) == len(labels) else tokens[tokens >= 0]
    return said


def best_path(tokens: Array, labels: Array) -> Array:
    """The greedy path of connectionist temporal classification: repeats merged, then the blank (token 0) dropped."""
    merged = tokens[np.concatenate([[True], tokens[1:] != tokens[:-1]])] if len(tokens) else tokens
    said: Array = merged[merged != _BLANK]
    return said


class SequenceErrors:
    """Labels [N, L], padded with negative numbers, are used up in feed order."""

    def __init__(self, name: str, labels: Array, output: str, decode: Decoder) -> None:
        if labels.dtype.kind not in "iu" or labels.ndim != 2:
            raise InputError(
                f"{name} needs labels [samples, tokens] of integers, padded with -1; "
                f"these are {labels.dtype.name} {list(labels.shape)}"
            )
        self._name = name
        self._labels = labels.astype(np.int64)
        self.output = output
        self._decode = decode
        self._used = 0
        self._tokens = 0
        self._errors: tuple[list[int], list[int]] = ([], [])  # of each sample

    def add(self, reference: Mapping[str, Array], candidate: Mapping[str, Array], feed: Feed) -> None:
        """Scores [batch, T, tokens] (or [T, batch, tokens]), or token numbers [batch, T]."""
        batch = next((len(array) for array in feed.values() if array.ndim), 1)
        said = [self._best(outputs[self.output], batch) for outputs in (reference, candidate)]
        for ours, theirs in zip(*said, strict=True):
            if self._used == len(self._labels):
                raise InputError(f"{len(self._labels)} labels, and output {self.output!r} has more samples")
            labels = self._labels[self._used]
            truth = labels[labels >= 0]
            self._used += 1
            self._tokens += len(truth)
            for place, tokens in enumerate((ours, theirs)):
                self._errors[place].append(edit_distance(self._decode(tokens, labels), truth))

    def finish(self) -> tuple[TaskMetric, ...]:
        """Lower is better; above 1 where a model says far too much."""
        if self._used != len(self._labels):
            raise InputError(f"{len(self._labels)} labels for {self._used} samples of output {self.output!r}")
        if self._tokens == 0:
            raise InputError("all labels are negative: there is nothing to count")
        both = np.array(self._errors, np.float64)
        ours, theirs = (both.sum(axis=1) / self._tokens).tolist()
        interval = interval_of((both[1] - both[0]) * self._used / self._tokens)
        return (TaskMetric(self._name, ours, theirs, self._used, higher_is_better=False, drop_interval=interval),)

    def _best(self, output: Array, batch: int) -> Array:
        """[batch, T]"""
        output = np.asarray(output)
        if output.ndim == 3 and output.shape[0] != batch and output.shape[1] == batch:
            output = output.swapaxes(0, 1)
        if output.ndim == 3:
            output = np.argmax(output, axis=-1)
        elif output.dtype.kind not in "iu" or output.ndim != 2:
            raise InputError(
                f"output {self.output!r} {output.dtype.name} {list(output.shape)} is no sequence of tokens: "
                f"{self._name} needs scores [batch, T, tokens] or token numbers [batch, T]"
            )
        return output.astype(np.int64)


def edit_distance(said: Array, truth: Array) -> int:
    """Fewest insertions, deletions and substitutions that turn `said` [n] into `truth` [m] (Levenshtein)."""
    steps = np.arange(len(truth) + 1)
    row = steps
    for number, token in enumerate(said, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (truth != token))
        row = np.minimum.accumulate(np.concatenate([[number], best]) - steps) + steps  # insertions along the row
    return int(row[-1])
