"""Classification on labelled data: top-k accuracy and macro F1, for all classes together and for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.hints import one_hot_hint
from nncompress.feeds.labels import class_numbers
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import ClassMetric, TaskMetric
from nncompress.validate.metrics.paired import interval_of, resampled

_MOST_FOR_TOP5 = 5  # with more classes than that, top-5 says something
_F1 = "f1"

Names = Callable[[int], tuple[str, ...]]
"""From the number of classes to the metrics that are measured."""


def top(k: int) -> str:
    """The metric's name."""
    return f"top-{k}"


def f1(classes: int) -> tuple[str, ...]:
    """Macro F1 alone."""
    return (_F1,)


def most_for_top5(classes: int) -> tuple[str, ...]:
    """top-1, and top-5 where there are more than five classes."""
    return (top(1), top(5)) if classes > _MOST_FOR_TOP5 else (top(1),)


class Classification:
    """Sets the best classes of both models against the labels [N], which are used up in feed order."""

    def __init__(self, labels: Array, output: str, names: Names) -> None:
        self._labels = class_numbers(labels)
        self._one_hot = one_hot_hint(labels)
        self.output = output
        self._names = names
        self._used = 0
        self._classes = 0
        self._seen: list[Array] = []
        self._answers: tuple[list[_Answers], list[_Answers]] = ([], [])

    def add(self, reference: Mapping[str, Array], candidate: Mapping[str, Array], feed: Feed) -> None:
        """Scores [..., classes], or class numbers [...]: leading axes are samples. Negative labels are left out."""
        rows = [_rows(outputs[self.output]) for outputs in (reference, candidate)]
        count = len(rows[0])
        labels = self._labels[self._used : self._used + count]
        self._used += count
        counted = labels >= 0
        for scores, answers in zip(rows, self._answers, strict=True):
            answers.append(self._answered(scores[: len(labels)][counted], labels[counted]))
        self._seen.append(labels[counted])

    def finish(self) -> tuple[TaskMetric, ...]:
        """InputError when the labels do not match the samples one to one."""
        if self._used != len(self._labels):
            raise InputError(
                f"{len(self._labels)} labels for {self._used} samples: output {self.output!r} has {self._used} rows"
                + (self._one_hot or "; give one label a row, in feed order, or name another output")
            )
        labels = np.concatenate(self._seen)
        if len(labels) == 0:
            raise InputError("all labels are negative: there is nothing to count")
        if self._classes < 2:
            raise InputError(
                f"output {self.output!r} has {self._classes} classes: labels cannot be compared with it "
                "(--metric module:function takes a metric of your own)"
            )
        both = [_joined(answers) for answers in self._answers]
        return tuple(self._metric(name, labels, *both) for name in self._names(self._classes))

    def _answered(self, rows: Array, labels: Array) -> _Answers:
        if rows.ndim == 1:  # class numbers
            self._classes = max(self._classes, 2, int(rows.max(initial=0)) + 1, int(labels.max(initial=0)) + 1)
            return _Answers(rows.astype(np.int64), np.where(rows == labels, 0, self._classes))
        self._classes = rows.shape[-1]
        if len(labels) and int(labels.max()) >= self._classes:
            raise InputError(
                f"label {int(labels.max())} is out of range: output {self.output!r} has {self._classes} classes"
            )
        best = np.argmax(rows, axis=-1) if rows.size else np.zeros(0, np.int64)
        best[np.isnan(rows).any(axis=-1)] = -1  # no answer
        return _Answers(best, _rank(rows, labels))

    def _metric(self, name: str, labels: Array, reference: _Answers, candidate: _Answers) -> TaskMetric:
        if name == _F1:
            ours, theirs = (_f1_by_class(answers.best, labels, self._classes) for answers in (reference, candidate))
            values = [float(np.nanmean(scores)) for scores in (ours, theirs)]
            interval = resampled(len(labels), lambda some: self._f1_drop(reference, candidate, labels, some))
        else:
            k = int(name.removeprefix("top-"))
            hits = [answers.rank < k for answers in (reference, candidate)]
            ours, theirs = (_share_by_class(hit, labels, self._classes) for hit in hits)
            values = [float(np.count_nonzero(hit) / len(labels)) for hit in hits]
            interval = interval_of(hits[0].astype(np.float64) - hits[1])
        classes = _by_class(labels, ours, theirs)
        return TaskMetric(name, values[0], values[1], len(labels), classes=classes, drop_interval=interval)

    def _f1_drop(self, reference: _Answers, candidate: _Answers, labels: Array, some: Array) -> float:
        ours, theirs = (
            np.nanmean(_f1_by_class(answers.best[some], labels[some], self._classes))
            for answers in (reference, candidate)
        )
        return float(ours - theirs)


class _Answers:
    """`best` [N]: the class with the highest score, -1 for none; `rank` [N]: how many come before the true one."""

    def __init__(self, best: Array, rank: Array) -> None:
        self.best, self.rank = best, rank


def _joined(answers: list[_Answers]) -> _Answers:
    return _Answers(np.concatenate([a.best for a in answers]), np.concatenate([a.rank for a in answers]))


def _rows(scores: Array) -> Array:
    """[N, classes], or [N] of class numbers; one row where there is but one axis of scores."""
    scores = np.asarray(scores)
    if scores.dtype.kind in "iu":
        return scores.reshape(-1)
    return scores.reshape(-1, scores.shape[-1]) if scores.ndim > 1 else scores.reshape(1, -1)


def _rank(rows: Array, labels: Array) -> Array:
    """For each row how many classes come before the true one: higher scores, and equal ones of lower index.

    A row whose true class scores NaN ranks last.
    """
    index = np.arange(len(rows))
    true = rows[index, labels][:, None]
    before = (rows > true) | ((rows == true) & (np.arange(rows.shape[-1]) < labels[:, None]))
    rank: Array = np.where(np.isnan(true[:, 0]), rows.shape[-1], before.sum(axis=-1))
    return rank


def _share_by_class(hit: Array, labels: Array, classes: int) -> Array:
    """Share of each class's samples that are hits [classes]; NaN where there is no sample."""
    total = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[hit], minlength=classes)
    shares: Array = np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0)
    return shares


def _f1_by_class(best: Array, labels: Array, classes: int) -> Array:
    """2 TP / (true + predicted) of each class [classes]; NaN for one that is neither true nor predicted."""
    true = np.bincount(labels, minlength=classes)
    predicted = np.bincount(best[(best >= 0) & (best < classes)], minlength=classes)
    correct = np.bincount(labels[best == labels], minlength=classes)
    both = true + predicted
    scores: Array = np.divide(2 * correct, both, out=np.full(classes, np.nan), where=both > 0)
    return scores


def _by_class(labels: Array, ours: Array, theirs: Array) -> tuple[ClassMetric, ...]:
    """Each class that has samples."""
    numbers, counts = np.unique(labels, return_counts=True)
    return tuple(
        ClassMetric(int(number), int(count), float(ours[number]), float(theirs[number]))
        for number, count in zip(numbers, counts, strict=True)
    )
