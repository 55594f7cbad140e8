"""Every deliberate error of nncompress, each with the exit code that the command line ends with."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Mapping

TYPE_CHECKING = False  # as in typing, which takes longer to import than all that is needed here
if TYPE_CHECKING:
    from typing import Any

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


class UnknownOperatorError(InputError):
    """A model with an operator that onnxruntime does not know: it cannot be run, but perhaps elsewhere."""


class NoOutputError(NncompressError):
    """No usable result: nothing to compress, larger than before, or refused by the checker or onnxruntime."""

    exit_code = EXIT_NO_OUTPUT


class NothingChangedError(NoOutputError):
    """The passes left everything as it is."""


_NO_THREAD = "can't start new thread"
LONGEST_MESSAGE = 900  # characters: a name from a hostile file can be megabytes long


def printable(text: object) -> str:
    """`text` on one line with every character that a terminal could act on escaped.

    Of more than LONGEST_MESSAGE characters the middle is left out: the end says what would be right.
    """
    whole, half = str(text), LONGEST_MESSAGE // 2
    shown = whole if len(whole) <= LONGEST_MESSAGE else f"{whole[:half]}...{whole[3 - half :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """A hint such as " (did you mean 'a'?)" naming the known names closest to `name`; "" where none is close."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""


_LONGEST_VALUE = 80
_KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "tuple": "a list",
    "list": "a list", "dict": "a table", "dataclass": "a table", "mapping": "a table",
    "finite_number": "a finite number",
}  # fmt: skip


def explained(details: Mapping[str, Any], name: str = "") -> str:
    """What pydantic says of a value, in words for users: "bits must be 8, not 3". `name`: of what; else its place."""
    name = name or ".".join(map(str, details["loc"]))
    kind, context = str(details["type"]), details.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return f"{name}: {str(details['msg']).partition(', ')[2]}"
    if kind in ("missing", "missing_argument"):
        return f"{name} is missing"
    bounds = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    wanted = next((f"{word} {context[key]:g}" for key, word in bounds.items() if key in context), None)
    stem = kind if kind in _KINDS else kind.partition("_")[0]
    wanted = wanted or str(context.get("expected") or _KINDS.get(stem) or "")
    if not wanted:
        return f"{name}: {str(details['msg'])[:1].lower()}{str(details['msg'])[1:]}"
    value = details["input"]
    bare = kind == "literal_error" and "'" not in wanted and isinstance(value, str)  # numbers are no text in quotes
    return f"{name} must be {wanted}, not {value if bare else _as_written(value)}"


def _as_written(value: object) -> str:
    """A value as files and options spell it."""
    if isinstance(value, bool):
        return str(value).lower()
    shown = "nothing" if value is None else repr(list(value) if isinstance(value, tuple) else value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}..."


def reason(error: OSError) -> str:
    """The operating system's words for an error, without the path that the caller names anyway."""
    known = {errno.ENOENT: "no such file", errno.EACCES: "permission denied", errno.ELOOP: "links go in a circle"}
    return known.get(error.errno or 0, (error.strerror or str(error)).lower())


def lacks_memory(error: BaseException) -> bool:
    """True for whatever is raised where memory, or the address space, does not suffice."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    said = str(error)
    return _NO_THREAD in said or "failed to map segment" in said


def lacking(error: BaseException) -> str | None:
    """What the system did not give, as a message, where that is why `error` was raised; None where it is not."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE) or os.strerror(errno.EMFILE) in str(error):
        return "too many open files: the limit is too low (ulimit -n)"
    if number == errno.EAGAIN or _NO_THREAD in str(error):
        return "no other process or thread can be started: too little memory, or the limit is too low (ulimit -u)"
    return "not enough memory for this model" if lacks_memory(error) else None


class MachineError(Exception):
    """Something that the machine did, as the cause of an error: the same files and options need not lead to it."""


def need_not_repeat(error: BaseException) -> bool:
    """True if `error` came of the machine (memory, disks, a process that was stopped) and not of files and options."""
    cause: BaseException | None = error
    while cause is not None:
        disk = isinstance(error, NoOutputError) and isinstance(cause, OSError)
        memory = lacking(cause) is not None or any(said in str(cause) for said in ("allocate memory", "bad_alloc"))
        if disk or memory or isinstance(cause, MachineError):
            return True
        cause = cause.__cause__
    return False
