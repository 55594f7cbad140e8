"""Latency of two models, taken in turns so that a machine that speeds up or slows down does so for both.

One sample of the ratio is a block of calls of each model, as many of the one as of the other, one block right after
the other. A coin decides which comes first: whatever else goes on, a model against itself is then as often the slower
one as the faster one. Where a session's buffers happen to lie in memory makes a small model up to 5 % faster or slower
for as long as that session lives, so the interval is that of the median over *groups*, by binomial order statistics:
the pairs of sessions where several were opened, else stretches of time, and then smaller differences are not claimed.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from nncompress.model.building import without_collector
from nncompress.results.record import Latency, Timing

_BLOCK_S = 0.0003  # far above the clock's resolution, and well below what a system gives to others at a time
_MOST_KEPT = 400  # samples of a model in a report
_FEWEST_SAMPLES = 8  # all on one side of 1 by chance: once in 128 times
_PATIENCE = 20  # times the budget
_GROUPS = 15
_ENOUGH_TO_DROP = 12
_BY_CHANCE = 0.01  # how often the interval may miss the median
PAIRS = 8  # of sessions, where opening them is cheap: as many as an interval needs
_WORTH_SAYING, _WORTH_SAYING_OF_ONE = 0.02, 0.05  # smaller differences come from memory layout as much as from models

Inference = Callable[[], object]


def interleaved(pairs: Sequence[tuple[Inference, Inference]], seconds: float, threads: int) -> Latency:
    """Time (reference, candidate) in turns for about `seconds`, all `pairs` of sessions in rotation.

    At least eight samples are taken unless they need twenty times as long; with fewer the interval is their range,
    and no difference is called distinguishable.
    """
    coin = random.Random(0)
    with _quiet():
        repeats = _equal_repeats([call for pair in pairs for call in pair])
        samples_ms: tuple[list[float], list[float]] = ([], [])
        end = time.perf_counter() + seconds
        while _more_wanted(len(samples_ms[0]), end, seconds) or len(samples_ms[0]) % len(pairs):
            pair, first = pairs[len(samples_ms[0]) % len(pairs)], coin.randrange(2)
            for model in (first, 1 - first):
                samples_ms[model].append(_block_ms(pair[model], repeats))
    return _compared(samples_ms, len(pairs), threads)


def _compared(samples_ms: tuple[Sequence[float], Sequence[float]], pairs: int, threads: int) -> Latency:
    """What samples taken in turns, all pairs in rotation, say."""
    ratios = np.array(samples_ms[1]) / np.array(samples_ms[0])
    grouped = ratios.reshape(-1, pairs).T if pairs > 1 else np.array_split(ratios, min(_GROUPS, len(ratios)))
    medians = [float(np.median(group)) for group in grouped]
    low, high = median_interval(medians)
    ratio = float(np.median(medians))
    worth_saying = _WORTH_SAYING if pairs > 1 else _WORTH_SAYING_OF_ONE
    different = len(ratios) >= _FEWEST_SAMPLES and not low <= 1 <= high and abs(ratio - 1) > worth_saying
    return Latency(_timing(samples_ms[0]), _timing(samples_ms[1]), ratio, low, high, different, threads, True)


def alone(inference: Inference, seconds: float) -> Timing:
    """Time one model for about `seconds`."""
    with _quiet():
        repeats = _equal_repeats([inference])
        samples_ms: list[float] = []
        end = time.perf_counter() + seconds
        while _more_wanted(len(samples_ms), end, seconds):
            samples_ms.append(_block_ms(inference, repeats))
    return _timing(samples_ms)


def in_rotation(inferences: Sequence[Inference], seconds: float) -> list[Timing]:
    """Time all `inferences` in turns for about `seconds` in all; sample i of each was taken in the same turn."""
    shuffled, order = random.Random(0), list(range(len(inferences)))
    with _quiet():
        repeats = _equal_repeats(inferences)
        samples_ms: list[list[float]] = [[] for _ in inferences]
        end = time.perf_counter() + seconds
        while _more_wanted(len(samples_ms[0]), end, seconds):
            shuffled.shuffle(order)
            for which in order:
                samples_ms[which].append(_block_ms(inferences[which], repeats))
    return [_timing(samples) for samples in samples_ms]


def ratio_of(reference: Timing, candidate: Timing) -> tuple[float, float, float]:
    """Median of candidate / reference over the turns of in_rotation, and its 99 % interval."""
    ratios = np.array(candidate.samples_ms) / np.array(reference.samples_ms)
    medians = [float(np.median(group)) for group in np.array_split(ratios, min(_GROUPS, len(ratios)))]
    return float(np.median(medians)), *median_interval(medians)


def one_after_the_other(reference: Timing, candidate: Timing, threads: int) -> Latency:
    """Two timings that were not interleaved: never called distinguishable; the interval spans all the samples."""
    ratio = candidate.median_ms / reference.median_ms
    low = min(candidate.samples_ms) / max(reference.samples_ms)
    high = max(candidate.samples_ms) / min(reference.samples_ms)
    return Latency(reference, candidate, ratio, low, high, False, threads, False)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Interval that holds the median with at least 99 % where there are eight values or more.

    Of fewer than twelve it is the range: a single disturbance is too large a part of them to leave any out.
    """
    ordered, count = sorted(values), len(values)
    dropped = 0  # smallest and largest values that can be left out
    while (
        count >= _ENOUGH_TO_DROP and 2 * sum(math.comb(count, k) for k in range(dropped + 2)) / 2**count <= _BY_CHANCE
    ):
        dropped += 1
    return ordered[dropped], ordered[count - 1 - dropped]


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection meanwhile."""
    gc.collect()
    with without_collector():
        yield


def _more_wanted(samples: int, end: float, seconds: float) -> bool:
    now = time.perf_counter()
    return now < end or (samples < _FEWEST_SAMPLES and (samples < 2 or now < end + (_PATIENCE - 1) * seconds))


def _equal_repeats(inferences: Sequence[Inference]) -> int:
    """Calls in a block of any of `inferences`, such that it takes _BLOCK_S on average; warms all up."""
    for inference in inferences:
        inference()
    call_s = sum(_call_s(inference) for inference in inferences) / len(inferences)
    return max(1, math.ceil(_BLOCK_S / call_s))


def _call_s(inference: Inference) -> float:
    """What a call takes, the fastest of some where they are short."""
    fastest = _block_ms(inference, 1) / 1000
    if fastest < _BLOCK_S:
        fastest = min(_block_ms(inference, 1) for _ in range(3)) / 1000
    return max(fastest, 1e-7)


def _block_ms(inference: Inference, repeats: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(repeats):
        inference()
    return (time.perf_counter_ns() - start) / repeats / 1e6


def _timing(samples_ms: Sequence[float]) -> Timing:
    first, median, third = (float(q) for q in np.quantile(samples_ms, (0.25, 0.5, 0.75)))
    kept = samples_ms if len(samples_ms) <= _MOST_KEPT else np.array(samples_ms)[_evenly(len(samples_ms))].tolist()
    return Timing(median, third - first, tuple(kept))


def _evenly(count: int) -> np.ndarray:
    """As many positions as are kept: the same ones for models that took turns."""
    return np.linspace(0, count - 1, _MOST_KEPT).astype(np.int64)
