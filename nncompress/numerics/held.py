"""Keeps the arrays that a run computes: in memory up to a budget, beyond it in a temporary file without a name."""

from __future__ import annotations

import tempfile
import threading
from typing import IO, Protocol

import numpy as np

BUDGET_BYTES = 64 << 20


class Held(Protocol):
    """An array that can be had any number of times."""

    def load(self) -> np.ndarray: ...


class _InMemory:
    def __init__(self, array: np.ndarray, store: Store) -> None:
        self._array, self._store = array, store

    def load(self) -> np.ndarray:
        view = self._array.view()
        view.flags.writeable = False
        return view

    def __del__(self) -> None:
        self._store.give_back(self._array.nbytes)


class _InFile:
    def __init__(self, file: IO[bytes], lock: threading.Lock, offset: int, like: np.ndarray) -> None:
        self._file, self._lock, self._offset = file, lock, offset
        self._dtype, self._shape = like.dtype, like.shape

    def load(self) -> np.ndarray:
        array = np.empty(self._shape, self._dtype)
        with self._lock:
            self._file.seek(self._offset)
            self._file.readinto(memoryview(array).cast("B"))  # type: ignore[attr-defined]
        return array


class Store:
    """Takes arrays and hands them out again; not more than `budget_bytes` of them lie in memory."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._left = budget_bytes
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._end = 0

    def hold(self, array: np.ndarray) -> Held:
        """Keeps `array`, which nobody may change any more."""
        with self._lock:
            if array.nbytes <= self._left:
                self._left -= array.nbytes
                return _InMemory(array, self)
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the arrays
            self._file.seek(self._end)
            view, offset = memoryview(np.ascontiguousarray(array)).cast("B"), self._end
            while view:
                written = self._file.write(view)
                view = view[written:]
            self._end += array.nbytes
            return _InFile(self._file, self._lock, offset, array)

    def give_back(self, count: int) -> None:
        """Memory of an array that is gone."""
        with self._lock:
            self._left += count
