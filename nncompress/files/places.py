"""What lies at a path, and which paths lead to the same place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nncompress.errors import NoOutputError, UsageError

MADE_UP = Path("synthetic")  # no place: instead of a path to data, which are made up then


def status_of(path: Path) -> os.stat_result | None:
    """What `path` leads to; None where nothing is there, or it cannot be told."""
    with suppress(OSError, ValueError):  # ValueError: a NUL byte or a lone surrogate in the name
        return path.stat()
    return None


def is_folder(path: Path) -> bool:
    """True for a folder, or a link to one."""
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def check_place(path: Path) -> None:
    """Raises NoOutputError where there is no folder to write a file into, UsageError where `path` itself is one."""
    if not is_folder(path.parent):
        raise NoOutputError(f"cannot write {path}: the folder {path.parent} does not exist")
    if is_folder(path):
        raise UsageError(f"cannot write {path}: it is a folder; name a file in it")


def is_file(path: Path) -> bool:
    """True for a regular file, or a link to one."""
    status = status_of(path)
    return status is not None and stat.S_ISREG(status.st_mode)


def is_link(path: Path) -> bool:
    """True for a link, wherever it leads."""
    with suppress(OSError):
        return stat.S_ISLNK(path.lstat().st_mode)
    return False


def is_special(path: Path) -> bool:
    """True for a FIFO, a socket or a device, or a link to one: no file may take its place."""
    status = status_of(path)
    return status is not None and not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


Place = tuple[int, int, str]


def place_of(path: Path) -> Place:
    """Equal for all names of one file, hard links and links among them, and for those of one that is not there yet."""
    status = status_of(path)
    if status is not None:
        return status.st_dev, status.st_ino, ""
    real = _real(path)
    parent = status_of(real.parent)
    return (parent.st_dev, parent.st_ino, real.name) if parent is not None else (0, 0, str(real))


def places_of(paths: Iterable[Path]) -> set[Place]:
    return {place_of(path) for path in paths}


def _real(path: Path) -> Path:
    """`path` with its links followed as far as they lead."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # the current folder is gone; a NUL byte
        return path
