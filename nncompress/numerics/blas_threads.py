"""Linear algebra on one thread: a sum that several threads share ends in other digits with another number of them.

One thread is also the fastest choice here, as passes work on several weights at a time (passes/parallel.py): with more
threads than processors they wait for each other. Which instructions a processor has still shows in the last digits, and
Apple's Accelerate cannot be limited.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import OpenBLASController, ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Matrix products, decompositions and dot products use one thread meanwhile, in the whole process.

    Several threads may be inside at a time; the last to leave restores what was set before the first came.
    """
    _LIMIT.enter()
    try:
        yield
    finally:
        _LIMIT.leave()


def limit_new_thread() -> None:
    """What a thread calls first that is started within `one_blas_thread`, as the `initializer` of its pool.

    Only an OpenBLAS that is built on OpenMP needs it: there the limit is that of a thread, not of the process.
    """
    ThreadpoolController().select(threading_layer="openmp").limit(limits=1)


class _Limit:
    """The limit of this process, and how many are inside.

    Where a thread has set a limit, threadpoolctl ignores those of others until that thread ends or is forgotten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                OpenBLASController.clear_controlling_thread(force=True)
                self._limiter = ThreadpoolController().limit(limits=1, user_api="blas")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                OpenBLASController.clear_controlling_thread(force=True)
                self._limiter.restore_original_limits()
                OpenBLASController.clear_controlling_thread(force=True)


_LIMIT = _Limit()
