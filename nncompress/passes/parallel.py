"""Works on several weights at a time, within a bound on memory, and yields results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from nncompress.errors import NoOutputError
from nncompress.model.weights import Weight
from nncompress.numerics.blas_threads import limit_new_thread
from nncompress.numerics.threads import begun
from nncompress.progress import at

IN_FLIGHT_BYTES = 512 << 20  # weights that are read and worked on at the same time


T = TypeVar("T")


def in_parallel(weights: list[Weight], work: Callable[[Weight], T], threads: int) -> Iterator[tuple[Weight, T]]:
    """work(weight) for every weight, in order, on `threads` threads, IN_FLIGHT_BYTES of weights at most at once.

    Raises NoOutputError where the memory does not suffice.
    """

    def guarded(weight: Weight) -> T:
        with enough_memory(weight):
            return work(weight)

    total, done = sum(weight.size for weight in weights), 0
    for weight, result in _in_order(weights, guarded, threads):
        done += weight.size
        at("compressing weights", done, total)
        yield weight, result


def _in_order(weights: list[Weight], work: Callable[[Weight], T], threads: int) -> Iterator[tuple[Weight, T]]:
    if threads <= 1:
        yield from ((weight, work(weight)) for weight in weights)
        return
    with ThreadPoolExecutor(threads, initializer=limit_new_thread) as pool:
        running: deque[tuple[Weight, int, Future[T]]] = deque()
        in_flight = 0
        for weight in weights:
            needed = 4 * weight.size
            while running and in_flight + needed > IN_FLIGHT_BYTES:
                first, size, future = running.popleft()
                in_flight -= size
                yield first, future.result()
            running.append((weight, needed, begun(pool, work, weight)))
            in_flight += needed
        for first, _, future in running:
            yield first, future.result()


@contextmanager
def enough_memory(weight: Weight) -> Iterator[None]:
    """Raises NoOutputError where it does not suffice for what is done to `weight`."""
    try:
        yield
    except MemoryError as error:
        shape = " x ".join(map(str, weight.shape))
        raise NoOutputError(f"not enough memory to compress {weight.given_name!r} ({shape})") from error
