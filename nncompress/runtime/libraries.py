"""Libraries of custom operators, which every session that is opened meanwhile registers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nncompress.errors import InputError
from nncompress.progress import Announce

_registered: tuple[Path, ...] = ()


def registered() -> tuple[Path, ...]:
    """Those that are registered now."""
    return _registered


def register(libraries: Sequence[Path]) -> None:
    """From now on sessions of this process register these."""
    global _registered
    _registered = tuple(libraries)


@contextmanager
def registering(libraries: Sequence[Path]) -> Iterator[None]:
    """Until the block ends, sessions register these, in child processes too. Raises InputError for one that is no file.

    A library is code: it runs as soon as a session is opened.
    """
    for library in libraries:
        if not library.is_file():
            raise InputError(f"{library}: no such file, so it is no library of custom operators")
    before = _registered
    register([library.absolute() for library in libraries])  # the system looks elsewhere for a mere name
    try:
        yield
    finally:
        register(before)


def with_libraries(
    libraries: Sequence[Path], function: Callable[..., Any], arguments: tuple[Any, ...], announce: Announce
) -> Any:
    """function(*arguments, announce) in another process, where these are registered as they are here."""
    register(libraries)
    return function(*arguments, announce)
