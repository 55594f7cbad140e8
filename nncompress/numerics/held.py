"""Keeps the arrays that a run computes: in memory up to a budget, beyond it in a temporary file without a name."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

BUDGET_BYTES = 64 << 20
_LONGEST_CALL = 1 << 30  # bytes of one system call


class Held(Protocol):
    """An array that can be had any number of times."""

    def load(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Plain:
    """A small array that nobody has to keep track of."""

    array: np.ndarray

    def load(self) -> np.ndarray:
        return self.array


@dataclass(frozen=True)
class Reshaped:
    """Another array, seen in a shape of as many elements."""

    held: Held
    shape: tuple[int, ...]

    def load(self) -> np.ndarray:
        return self.held.load().reshape(self.shape)


@dataclass(frozen=True)
class Moved:
    """Another array of `shape`, its axes in another order."""

    held: Held
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def load(self) -> np.ndarray:
        return np.ascontiguousarray(self.held.load().reshape(self.shape).transpose(self.order))


@dataclass(frozen=True)
class Computed:
    """An array that is computed anew each time; nothing of it is kept."""

    load: Callable[[], np.ndarray]


class _Budget:
    """Bytes that arrays may still take in memory."""

    def __init__(self, left: int) -> None:
        self._left = left
        self.lock = threading.Lock()

    def takes(self, count: int) -> bool:
        """True if there is room, which is taken then."""
        with self.lock:
            fits = count <= self._left
            self._left -= count if fits else 0
            return fits

    def give_back(self, count: int) -> None:
        """Memory of an array that is gone."""
        with self.lock:
            self._left += count


class _InMemory:
    def __init__(self, array: np.ndarray, budget: _Budget) -> None:
        self._array, self._budget = array, budget

    def load(self) -> np.ndarray:
        view = self._array.view()
        view.flags.writeable = False
        return view

    def __del__(self) -> None:
        self._budget.give_back(self._array.nbytes)


class _Spill:
    """A temporary file without a name; gone when the last array in it is."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())
        self._end = 0

    def __del__(self) -> None:
        os.close(self._descriptor)

    def write(self, array: np.ndarray) -> int:
        """Appends the bytes of `array`; returns where they start."""
        start, view = self._end, memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        while view:
            written = os.pwrite(self._descriptor, view[:_LONGEST_CALL], self._end)
            self._end += written
            view = view[written:]
        return start

    def read(self, start: int, array: np.ndarray) -> None:
        """Fills `array`, which must be contiguous, with the bytes from `start`."""
        view = memoryview(array.reshape(-1).view(np.uint8).data)
        while view:
            got = os.preadv(self._descriptor, [view[:_LONGEST_CALL]], start)
            start += got
            view = view[got:]


class _InFile:
    def __init__(self, spill: _Spill, start: int, like: np.ndarray) -> None:
        self._spill, self._start = spill, start
        self._dtype, self._shape = like.dtype, like.shape

    def load(self) -> np.ndarray:
        array = np.empty(self._shape, self._dtype)
        self._spill.read(self._start, array)
        return array


class Store:
    """Takes arrays and hands them out again; not more than `budget_bytes` of them lie in memory."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget = _Budget(budget_bytes)
        self._spill: _Spill | None = None

    def apart(self) -> Store:
        """One that shares the budget of this one, and has a temporary file of its own, which goes with its arrays."""
        other = type(self)()
        other._budget = self._budget
        return other

    def hold(self, array: np.ndarray) -> Held:
        """Keeps `array`, which nobody may change any more."""
        if self._budget.takes(array.nbytes):
            return _InMemory(array, self._budget)
        with self._budget.lock:
            self._spill = self._spill or _Spill()
            return _InFile(self._spill, self._spill.write(array), array)
