"""What every pass is: a frozen dataclass whose fields are its options, and one method that decides weight by weight.

A pass changes weights (new values, or an encoding attached) or the float graph, and returns one Outcome for every
weight that it considered. It does no I/O, prints nothing, and never runs a model.
"""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import numpy as np

from nncompress.errors import NoOutputError, UsageError, nearest, reason
from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.held import Held, Store
from nncompress.report.record import Outcome, Skipped

LARGEST_VALUE, SMALLEST_VALUE = float(np.finfo(np.float32).max), 1e-35  # that float32 scales and factors can express
IN_FLIGHT_BYTES = 512 << 20  # weights that are read and worked on at the same time
T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """What a run lends to its passes."""

    store: Store = field(default_factory=lambda: _Store())
    threads: int = 1


class _Store(Store):
    """One whose full disk is a deliberate error."""

    def hold(self, array: np.ndarray) -> Held:
        try:
            return super().hold(array)
        except OSError as error:
            raise NoOutputError(
                f"cannot write to the temporary folder: {reason(error)} (TMPDIR names another)"
            ) from error


@dataclass(frozen=True)
class Pass(ABC):
    """Base of all passes: which weights it may touch."""

    include: tuple[str, ...] = ()
    """only weights whose name, or a reading node's name, matches one of these globs"""
    exclude: tuple[str, ...] = ()
    """not the weights whose name, or a reading node's name, matches one of these globs"""
    min_size: int = 64
    """leave weights with fewer elements alone"""

    name: ClassVar[str]
    stage: ClassVar[int]
    """passes must run in ascending order: 1 changes the graph, 2 changes values, 3 encodes them"""

    @abstractmethod
    def apply(self, model: Model, context: Context) -> list[Outcome]:
        """Changes `model` in place and says what was done to each weight considered."""

    def problem(self) -> str | None:
        """What is wrong with the options; None if they can be used."""
        return None

    def select(self, model: Model) -> tuple[list[Weight], list[Outcome]]:
        """The weights to work on, and those left alone with the reason. Raises UsageError for a glob without match."""
        weights = find_weights(model)
        check_globs((*self.include, *self.exclude), weights)
        chosen: list[Weight] = []
        skipped: list[Outcome] = []
        for weight in weights:
            reason = self._reason_against(weight)
            if reason is None:
                chosen.append(weight)
            else:
                skipped.append(Skipped(weight.name, self.name, reason))
        return chosen, skipped

    def _reason_against(self, weight: Weight) -> str | None:
        if self.include and not matches(weight, self.include):
            return "not included"
        if matches(weight, self.exclude):
            return "excluded"
        if weight.barrier:
            return weight.barrier
        if weight.size < max(1, self.min_size):
            return f"fewer than {self.min_size} elements (--min-size)"
        return None


def names_of(weight: Weight) -> set[str]:
    """What a glob may match: the weight's name and those of the nodes that read it."""
    return {weight.given_name, *(use.node.name for use in weight.uses if use.node.name)}


def matches(weight: Weight, globs: Iterable[str]) -> bool:
    """True if one of the globs matches a name of the weight."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs for name in names_of(weight))


def check_globs(globs: Iterable[str], weights: list[Weight]) -> None:
    """Raises UsageError for the first glob that matches nothing, with the nearest names."""
    known = sorted({name for weight in weights for name in names_of(weight)})
    for glob in globs:
        if not any(fnmatch.fnmatchcase(name, glob) for name in known):
            raise UsageError(f"{glob!r} matches no weight and no node that reads one{nearest(glob.strip('*?'), known)}")


def unfit(array: np.ndarray) -> str | None:
    """Why a weight with these values (not none) stays exactly as it is; None if it can be compressed."""
    low, high = float(array.min()), float(array.max())
    largest = max(-low, high)
    if not np.isfinite([low, high]).all():
        return "holds infinite values or NaN, which stay exact"
    if largest > LARGEST_VALUE:
        return "holds values beyond the range of float32"
    if 0 < largest < SMALLEST_VALUE:
        return f"all its values are below {SMALLEST_VALUE:g}, where float32 has no digits left"
    return None


def in_parallel(weights: list[Weight], work: Callable[[Weight], T], threads: int) -> Iterator[tuple[Weight, T]]:
    """work(weight) for every weight, in order, on `threads` threads, IN_FLIGHT_BYTES of weights at most at once.

    Raises NoOutputError where the memory does not suffice.
    """
    work = _with_enough_memory(work)
    if threads <= 1:
        yield from ((weight, work(weight)) for weight in weights)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[tuple[Weight, int, Future[T]]] = deque()
        in_flight = 0
        for weight in weights:
            needed = 4 * weight.size
            while running and in_flight + needed > IN_FLIGHT_BYTES:
                first, size, future = running.popleft()
                in_flight -= size
                yield first, future.result()
            running.append((weight, needed, _started(pool, work, weight)))
            in_flight += needed
        for first, _, future in running:
            yield first, future.result()


def _started(pool: ThreadPoolExecutor, work: Callable[[Weight], T], weight: Weight) -> Future[T]:
    """The work on a thread of the pool, or done at once where the system gives no thread."""
    try:
        return pool.submit(work, weight)
    except RuntimeError:
        done: Future[T] = Future()
        done.set_result(work(weight))
        return done


def _with_enough_memory(work: Callable[[Weight], T]) -> Callable[[Weight], T]:
    def guarded(weight: Weight) -> T:
        try:
            return work(weight)
        except MemoryError as error:
            shape = " x ".join(map(str, weight.shape))
            raise NoOutputError(f"not enough memory to compress {weight.given_name!r} ({shape})") from error

    return guarded
