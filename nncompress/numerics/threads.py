"""Runs parts of one calculation on several threads; numpy lets them, as it holds no lock in large operations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from nncompress.numerics.blas_threads import limit_new_thread

P = TypeVar("P")
T = TypeVar("T")


def ahead(work: Callable[[P], T], parts: Iterable[P], threads: int) -> Iterator[T]:
    """work(part) for every part, in order; of the next ones, as many as there are threads are begun meanwhile."""
    if threads <= 1:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads, initializer=limit_new_thread) as pool:
        running: deque[Future[T]] = deque()
        for part in parts:
            if len(running) == threads:
                yield running.popleft().result()
            running.append(begun(pool, work, part))
        while running:
            yield running.popleft().result()


def begun(pool: ThreadPoolExecutor, work: Callable[[P], T], part: P) -> Future[T]:
    """work(part) on a thread of the pool, or done at once where the system gives no thread."""
    try:
        return pool.submit(work, part)
    except RuntimeError:
        done: Future[T] = Future()
        done.set_result(work(part))
        return done


def in_threads(work: Callable[[P], T], parts: Sequence[P], threads: int) -> list[T]:
    """work(part) for every part, in order."""
    return list(ahead(work, parts, min(threads, len(parts))))
