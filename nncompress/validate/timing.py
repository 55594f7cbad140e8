"""Latency of two models, taken in turns so that a machine that speeds up or slows down does so for both.

A pair is one block of calls of each model. The interval is that of the median over groups of consecutive pairs
(neighbours resemble each other on a noisy machine, so pairs are not independent) from binomial order statistics.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from nncompress.report.record import Latency, Timing

_BLOCK_S = 0.002  # shortest block: far above the clock's resolution
_MOST_PAIRS = 100
_FEWEST_PAIRS = 6  # with fewer, no interval of the median reaches 95 %
_PATIENCE = 20
_GROUPS = 15
_WORTH_SAYING = 0.02  # differences below that come from memory layout as much as from the models

Call = Callable[[], object]


def interleaved(reference: Call, candidate: Call, seconds: float, threads: int) -> Latency:
    """Time both in turns for about `seconds`, but for at least six pairs unless those take twenty times as long.

    With fewer than six pairs the interval is the range, and no difference is called distinguishable.
    """
    with _quiet():
        block_s = max(_BLOCK_S, seconds / (2 * _MOST_PAIRS))
        calls = (reference, candidate)
        repeats = [_repeats(call, block_s) for call in calls]
        taken: tuple[list[float], list[float]] = ([], [])
        end = time.perf_counter() + seconds
        while _more_wanted(len(taken[0]), end, seconds):
            first = len(taken[0]) % 2  # the order alternates
            for which in (first, 1 - first):
                taken[which].append(_block_ms(calls[which], repeats[which]))
    ratios = [new / old for old, new in zip(*taken, strict=True)]
    low, high = median_interval(ratios)
    ratio = float(np.median(ratios))
    enough = len(ratios) >= _FEWEST_PAIRS
    different = enough and not low <= 1 <= high and abs(ratio - 1) > _WORTH_SAYING
    return Latency(_timing(taken[0]), _timing(taken[1]), ratio, low, high, different, threads, True)


def alone(call: Call, seconds: float) -> Timing:
    """Time one model for about `seconds`."""
    with _quiet():
        repeats = _repeats(call, max(_BLOCK_S, seconds / _MOST_PAIRS))
        taken: list[float] = []
        end = time.perf_counter() + seconds
        while _more_wanted(len(taken), end, seconds):
            taken.append(_block_ms(call, repeats))
    return _timing(taken)


def one_after_the_other(reference: Timing, candidate: Timing, threads: int) -> Latency:
    """Two timings that were not interleaved: never called distinguishable; the interval spans all the samples."""
    ratio = candidate.median_ms / reference.median_ms
    low = min(candidate.samples_ms) / max(reference.samples_ms)
    high = max(candidate.samples_ms) / min(reference.samples_ms)
    return Latency(reference, candidate, ratio, low, high, False, threads, False)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """At least 95 % interval of the median: `values` in order of time are grouped first where there are many."""
    grouped = [float(np.median(part)) for part in np.array_split(np.asarray(values), min(_GROUPS, len(values)))]
    ordered, count = sorted(grouped), len(grouped)
    outside = 0  # how many of the smallest can be left out with both tails together below 5 %
    while 2 * sum(math.comb(count, k) for k in range(outside + 1)) / 2**count <= 0.05:
        outside += 1
    drop = max(outside - 1, 0)
    return ordered[drop], ordered[count - 1 - drop]


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection meanwhile."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _more_wanted(taken: int, end: float, seconds: float) -> bool:
    now = time.perf_counter()
    return now < end or (taken < _FEWEST_PAIRS and (taken < 2 or now < end + (_PATIENCE - 1) * seconds))


def _repeats(call: Call, block_s: float) -> int:
    """Calls in a block of `block_s`, found while warming up."""
    call()
    fastest = _block_ms(call, 1) / 1000
    if fastest < block_s:
        fastest = min(_block_ms(call, 1) for _ in range(3)) / 1000
    return max(1, math.ceil(block_s / max(fastest, 1e-7)))


def _block_ms(call: Call, repeats: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return (time.perf_counter_ns() - start) / repeats / 1e6


def _timing(samples_ms: Sequence[float]) -> Timing:
    first, median, third = (float(q) for q in np.quantile(samples_ms, (0.25, 0.5, 0.75)))
    return Timing(median, third - first, tuple(samples_ms))
