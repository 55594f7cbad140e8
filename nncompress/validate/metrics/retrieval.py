"""Retrieval with embeddings: does a compressed encoder still find the same neighbours by cosine?

Without labels, recall@k is the share of the k nearest neighbours of each sample that are also among the k nearest of
the original, whose own figure is 1. With labels it is the share of samples that have one of their own label among
their k nearest (of those that have such a neighbour at all). Neighbours as close as the k-th, to within rounding,
count as found (as in ann-benchmarks, Aumueller et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.labels import class_numbers
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import TaskMetric
from nncompress.validate.metrics.paired import interval_of

_BLOCK = 1024  # rows of similarities at a time
_TIE = 1e-6
_MASK = "attention_mask"


class Retrieval:
    """Collects the embeddings of all samples; each serves as query and as document."""

    def __init__(self, k: int, labels: Array | None, output: str) -> None:
        self._k = k
        self._labels = None if labels is None else class_numbers(labels)
        self.output = output
        self._rows: tuple[list[Array], list[Array]] = ([], [])

    def add(self, reference: Mapping[str, Array], candidate: Mapping[str, Array], feed: Feed) -> None:
        """Embeddings [batch, D], or [batch, T, D] of tokens, whose mean (under the attention mask) is taken."""
        for outputs, rows in zip((reference, candidate), self._rows, strict=True):
            rows.append(_unit(self._pooled(np.asarray(outputs[self.output], np.float64), feed)))

    def finish(self) -> tuple[TaskMetric, ...]:
        """InputError for fewer than k + 2 samples, where every neighbour would be found."""
        ours, theirs = (np.concatenate(rows) for rows in self._rows)
        name, count = f"recall@{self._k}", len(ours)
        if count < self._k + 2:
            raise InputError(f"{name} needs at least {self._k + 2} samples, there are {count}")
        if self._labels is None:
            found = _same_neighbours(ours, theirs, self._k)
            return (TaskMetric(name, 1.0, float(found.mean()), count, drop_interval=interval_of(1 - found)),)
        if len(self._labels) != count:
            raise InputError(f"{len(self._labels)} labels for {count} samples of output {self.output!r}")
        label_counts = np.bincount(np.unique(self._labels, return_inverse=True)[1])
        if not (label_counts > 1).any():
            raise InputError(f"no label occurs twice: leave the labels out, and {name} asks for the same neighbours")
        found, others = (_own_label_found(rows, self._labels, self._k) for rows in (ours, theirs))
        interval = interval_of(found - others)
        return (TaskMetric(name, float(found.mean()), float(others.mean()), len(found), drop_interval=interval),)

    def _pooled(self, output: Array, feed: Feed) -> Array:
        if output.ndim == 2:
            return output
        if output.ndim != 3:
            raise InputError(
                f"output {self.output!r} {list(output.shape)} is no embedding: recall@k needs [batch, D], or "
                "[batch, T, D] of tokens; name another one with --metric-output"
            )
        mask = feed.get(_MASK)
        if mask is None or mask.shape != output.shape[:2]:
            weights = np.ones((*output.shape[:2], 1))
        else:
            weights = np.asarray(mask, np.float64)[:, :, None]
        pooled: Array = (output * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        return pooled


def _unit(rows: Array) -> Array:
    """Rows of length 1, float32; zero rows stay zero, and rows with NaN are no neighbours of anything."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Array = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0).astype(np.float32)
    return np.nan_to_num(unit, copy=False)


def _similarities(rows: Array) -> Iterator[tuple[int, Array]]:
    """(first row, cosines [block, N]), each sample infinitely far from itself."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK] @ rows.T
        place = np.arange(len(block))
        block[place, start + place] = -np.inf
        yield start, block


def _nearest(similarity: Array, k: int) -> Array:
    """[block, k], in no order."""
    return np.argpartition(-similarity, k - 1, axis=1)[:, :k]


def _same_neighbours(ours: Array, theirs: Array, k: int) -> Array:
    """The share of each sample's k nearest that are found [N]."""
    hits = []
    for (_, reference), (_, candidate) in zip(_similarities(ours), _similarities(theirs), strict=True):
        limit = np.partition(reference, -k, axis=1)[:, -k][:, None]
        close = np.take_along_axis(reference, _nearest(candidate, k), axis=1)
        hits.append(np.count_nonzero(close >= limit - _TIE, axis=1))
    return np.concatenate(hits) / k


def _own_label_found(rows: Array, labels: Array, k: int) -> Array:
    """Whether each sample whose label occurs again is near one of that (1 or 0)."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    repeated = counts[inverse] > 1
    hits = []
    for start, similarity in _similarities(rows):
        stop = start + len(similarity)
        near = labels[_nearest(similarity, k)] == labels[start:stop, None]
        hits.append(near.any(axis=1)[repeated[start:stop]])
    return np.concatenate(hits).astype(np.float64)
