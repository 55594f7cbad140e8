"""Task metrics on labelled data: how often the true class is the best, or among the best five."""

from __future__ import annotations

import numpy as np

from nncompress.calibrate.specs import Array
from nncompress.errors import InputError
from nncompress.report.record import TaskMetric

_MOST_FOR_TOP5 = 5  # with more classes than that, top-5 says something


class Scores:
    """Counts hits of one model over all feeds; labels [N] are used up in feed order."""

    def __init__(self, labels: Array, output: str) -> None:
        self._labels = labels
        self._output = output
        self._used = 0
        self._hits = {1: 0, 5: 0}
        self._classes = 0
        self.counted = 0

    def add(self, scores: Array) -> None:
        """`scores` [..., classes]: all leading axes are samples. Negative labels are left out, as is custom."""
        rows = scores.reshape(-1, scores.shape[-1]) if scores.ndim > 1 else scores.reshape(1, -1)
        labels = self._labels[self._used : self._used + len(rows)]
        self._used += len(rows)
        self._classes = rows.shape[-1]
        rows = rows[: len(labels)]
        if len(labels) and int(labels.max()) >= self._classes:
            raise InputError(
                f"label {int(labels.max())} is out of range: output {self._output!r} has {self._classes} classes"
            )
        counted = labels >= 0
        rows, labels = rows[counted], labels[counted]
        self.counted += len(labels)
        self._hits[1] += int(np.count_nonzero(np.argmax(rows, axis=-1) == labels)) if len(labels) else 0
        if self._classes > _MOST_FOR_TOP5:
            self._hits[5] += int(np.count_nonzero(_rank(rows, labels) < 5))

    def finish(self) -> dict[str, float]:
        """{"top-1": share, "top-5": share}; InputError when the labels do not match the samples one to one."""
        if self._used != len(self._labels):
            raise InputError(
                f"{len(self._labels)} labels for {self._used} samples: output {self._output!r} has {self._used} rows; "
                "give one label a row, in feed order, or name another output"
            )
        if self.counted == 0:
            raise InputError("all labels are negative: there is nothing to count")
        if self._classes < 2:
            raise InputError(f"output {self._output!r} has {self._classes} classes: labels cannot be compared with it")
        names = (1, 5) if self._classes > _MOST_FOR_TOP5 else (1,)
        return {f"top-{k}": self._hits[k] / self.counted for k in names}


def task_metrics(reference: Scores, candidate: Scores) -> tuple[TaskMetric, ...]:
    """Both models' metrics side by side."""
    ours, theirs = reference.finish(), candidate.finish()
    return tuple(TaskMetric(name, ours[name], theirs[name], reference.counted) for name in ours)


def _rank(rows: Array, labels: Array) -> Array:
    """For each row how many classes come before the true one: higher scores, and equal ones of lower index.

    A row whose true class scores NaN ranks last.
    """
    index = np.arange(len(rows))
    true = rows[index, labels][:, None]
    before = (rows > true) | ((rows == true) & (np.arange(rows.shape[-1]) < labels[:, None]))
    rank: Array = np.where(np.isnan(true[:, 0]), rows.shape[-1], before.sum(axis=-1))
    return rank
