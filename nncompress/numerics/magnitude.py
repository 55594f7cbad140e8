"""Magnitude pruning: which values of a weight survive.

The importance of a value is its magnitude |w|. (Its square orders values the same way, so L1 and L2 importance of
single values prune alike.) Ties at the limit are broken by position: earlier values survive.

`lamp_shares` divides one share among several weights by layer-adaptive magnitude (LAMP: Lee, Park, Mo, Ahn and Shin,
"Layer-adaptive sparsity for the magnitude-based pruning", arXiv 2010.07611): the score of a value is its square over
the sum of the squares that are at least as large within its weight, and the smallest scores of all weights go first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.sqnr import decibels

_BUCKETS = 1 << 16
_FINITE_BUCKETS = 0x7F80  # upper halves of the bits of finite, positive float32 numbers


@dataclass(frozen=True)
class Kept:
    """A weight with zeros, and what that cost: sums of squares in float64."""

    values: np.ndarray
    nonzeros: int
    nonzeros_before: int
    signal: float  # sum of w^2
    noise: float  # sum of squares of what was dropped

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where nothing was lost."""
        return decibels(self.signal, self.noise)


def keep_largest(weight: np.ndarray, sparsity: float) -> Kept:
    """The weight with its round(sparsity * n) smallest magnitudes set to zero; exactly that many at least."""
    return keep_where(weight, largest(np.abs(weight), round(sparsity * weight.size)))


def largest(scores: np.ndarray, drop: int) -> np.ndarray:
    """True but for the `drop` smallest; of equal ones the later go."""
    flat = scores.reshape(-1)
    if drop <= 0:
        return np.ones(scores.shape, bool)
    limit = np.partition(flat, drop - 1)[drop - 1]
    stays = flat > limit
    spare = flat.size - drop - int(np.count_nonzero(stays))  # ties at the limit that may stay
    stays[np.flatnonzero(flat == limit)[:spare]] = True
    return np.reshape(stays, scores.shape)


def keep_above(weight: np.ndarray, threshold: float) -> Kept:
    """The weight with every value of magnitude below `threshold` set to zero."""
    return keep_where(weight, np.abs(weight) >= threshold)


def of_every(scores: np.ndarray, most: int, length: int) -> np.ndarray:
    """True for the `most` largest of every `length` values along the last axis; of equal ones the earlier stay."""
    count = scores.shape[-1]
    padded = np.full((*scores.shape[:-1], -(-count // length) * length), -np.inf)
    padded[..., :count] = scores
    runs = padded.reshape(*scores.shape[:-1], -1, length)
    keep = np.zeros(runs.shape, bool)
    np.put_along_axis(keep, np.argsort(-runs, axis=-1, kind="stable")[..., :most], True, axis=-1)
    return keep.reshape(padded.shape)[..., :count]


def keep_where(weight: np.ndarray, keep: np.ndarray) -> Kept:
    """The weight with every value set to zero where `keep`, bool of its shape, is not."""
    values = np.where(keep, weight, 0).astype(weight.dtype, copy=False)
    signal = float(np.sum(np.square(weight, dtype=np.float64)))
    noise = float(np.sum(np.square(weight[~keep], dtype=np.float64)))
    return Kept(values, int(np.count_nonzero(values)), int(np.count_nonzero(weight)), signal, noise)


def global_threshold(arrays: Iterable[Callable[[], np.ndarray]], sparsity: float) -> float:
    """The magnitude below which a share `sparsity` of all finite values lies.

    Float32 magnitudes order like their bit patterns, so two passes of counting (upper, then lower 16 bits) find the
    exact value with one array in memory at a time. Returns the smallest magnitude that survives.
    """
    readers = list(arrays)
    upper = np.zeros(_BUCKETS, np.int64)
    for read in readers:
        upper += np.bincount(_finite_bits(read()) >> 16, minlength=_BUCKETS)
    rank = round(sparsity * int(upper.sum()))
    below = np.cumsum(upper)
    bucket = int(np.searchsorted(below, rank, side="right"))
    if bucket >= _BUCKETS:
        return math.inf
    rank -= int(below[bucket - 1]) if bucket else 0
    lower = np.zeros(_BUCKETS, np.int64)
    for read in readers:
        bits = _finite_bits(read())
        lower += np.bincount(bits[bits >> 16 == bucket] & 0xFFFF, minlength=_BUCKETS)
    least = int(np.searchsorted(np.cumsum(lower), rank, side="right"))
    return float(np.array(bucket << 16 | least, np.uint32).view(np.float32))


def _finite_bits(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # of float64
        magnitude = np.abs(array, dtype=np.float32).reshape(-1)
    bits: np.ndarray = magnitude[np.isfinite(magnitude)].view(np.uint32)
    return bits


def lamp_shares(arrays: Iterable[Callable[[], np.ndarray]], sparsity: float) -> list[float]:
    """The share of zeros for each weight, so that together they have round(sparsity * n) zeros of n values.

    Scores are taken of magnitudes in 16 bits (within 0.8 %), so that one array is in memory at a time and none is
    sorted; within a weight it is exactly the smallest magnitudes that go.
    """
    scores, counts, owners, sizes = [], [], [], []
    middles = (np.arange(_FINITE_BUCKETS, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    squares = middles.astype(np.float64) ** 2
    squares[0] = 0.0  # zeros and the smallest denormals
    for owner, read in enumerate(arrays):
        bits = _finite_bits(read())
        histogram = np.bincount(bits >> 16, minlength=_FINITE_BUCKETS)
        larger = np.cumsum((histogram * squares)[::-1])[::-1]
        used = np.flatnonzero(histogram)
        scores.append(squares[used] / np.maximum(larger[used], np.finfo(np.float64).tiny))
        counts.append(histogram[used])
        owners.append(np.full(len(used), owner))
        sizes.append(len(bits))
    if not sizes:
        return []
    score, count, owner_of = np.concatenate(scores), np.concatenate(counts), np.concatenate(owners)
    order = np.argsort(score, kind="stable")
    before = np.cumsum(count[order]) - count[order]
    dropped = np.clip(round(sparsity * sum(sizes)) - before, 0, count[order])
    zeros = np.bincount(owner_of[order], weights=dropped, minlength=len(sizes))
    return [float(z / max(1, size)) for z, size in zip(zeros, sizes, strict=True)]
