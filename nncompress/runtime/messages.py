"""Pickled messages through a pipe, large arrays within them with no copy but that into and out of the pipe."""

from __future__ import annotations

import pickle
from typing import IO, Any


def write_message(message: Any, pipe: IO[bytes]) -> None:
    """Arrays go by themselves before the message, for within it they would be copied twice at either end."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(message, 5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    pickle.dump([array.nbytes for array in arrays], pipe)
    for array in arrays:
        pipe.write(array)
    pipe.write(pickled)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> Any:
    """What was written. Raises EOFError where it ends before."""
    arrays = [bytearray(size) for size in pickle.load(pipe)]
    for array in arrays:
        view = memoryview(array)
        while view:
            count = pipe.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            view = view[count:]
    return pickle.load(pipe, buffers=arrays)
