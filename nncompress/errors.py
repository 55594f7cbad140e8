"""Every deliberate error of nncompress, each with the exit code that the command line ends with."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

EXIT_OK = 0
EXIT_GATE_FAILED = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_NO_OUTPUT = 4
EXIT_INTERNAL = 5
EXIT_INTERRUPTED = 130


class NncompressError(Exception):
    """Base of all deliberate errors: a message of one line that says what was wrong and what would be right."""

    exit_code = EXIT_INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UsageError(NncompressError):
    """An option, a recipe or a configuration that cannot be meant."""

    exit_code = EXIT_USAGE


class InputError(NncompressError):
    """A model or data file that is missing, corrupt, unsafe or not supported."""

    exit_code = EXIT_INPUT


class NoOutputError(NncompressError):
    """No usable result: nothing to compress, larger than before, or refused by the checker or onnxruntime."""

    exit_code = EXIT_NO_OUTPUT


LONGEST_MESSAGE = 900  # characters: a name from a hostile file can be megabytes long


def printable(text: object) -> str:
    """`text` on one line with every character that a terminal could act on escaped, cut to LONGEST_MESSAGE."""
    whole = str(text)
    shown = whole if len(whole) <= LONGEST_MESSAGE else whole[: LONGEST_MESSAGE - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """A hint such as " (did you mean 'a'?)" naming the known names closest to `name`; "" where none is close."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""


def lacks_memory(error: BaseException) -> bool:
    """True for whatever is raised where memory, or the address space, does not suffice."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    said = str(error)
    return "can't start new thread" in said or "failed to map segment" in said
