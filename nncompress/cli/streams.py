"""stdout and stderr as the command line has them.

A reader of results who has seen enough is no error: the command goes on, and ends with the exit code that it would
have had. Results that cannot be written are one. Messages that cannot be written are lost, and nothing else changes.
On both, characters that the encoding lacks are spelled out.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO

from nncompress.errors import NoOutputError, reason


def open_streams() -> None:
    """To be called before anything is printed."""
    _open_what_is_closed()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Results(1, "w", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr)


class _Results(io.FileIO):
    """Raises NoOutputError, once, where a write fails for another reason than a reader that has gone."""

    failed = False

    def write(self, data: Any, /) -> int:
        """How many bytes were written, or dropped."""
        if self.failed:
            return len(data)
        try:
            while (written := super().write(data)) is None:  # a pipe that does not wait, and is full
                select.select([], [self], [])
            return written
        except BrokenPipeError:
            self.failed = True
            return len(data)
        except OSError as error:
            self.failed = True
            raise NoOutputError(f"cannot write to stdout: {reason(error)}") from error


class _Messages(io.FileIO):
    """Never raises."""

    def write(self, data: Any, /) -> int:
        """How many bytes were written, or dropped."""
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def _open_what_is_closed() -> None:
    """A file that is opened later must not get one of these numbers: what libraries print would end up in it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the least number that is free; to write to it fails


def _text(raw: io.FileIO, replaced: TextIO | None) -> TextIO:
    """`raw` with the encoding of the stream that it replaces, which Python leaves out where it is closed."""
    encoding = replaced.encoding if replaced is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=raw.fileno() == 2 or raw.isatty()
    )
