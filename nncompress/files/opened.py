"""Opens files that a model names, safely (regular ones, inside the folders that belong to the model); texts."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from nncompress.errors import InputError, reason
from nncompress.files.places import status_of

_BLOCK = 8 << 20


class OpenFile:
    """A regular file that was opened once; everything is read through this descriptor, whatever happens to its name."""

    def __init__(self, path: Path, descriptor: int, status: os.stat_result) -> None:
        self.path = path
        self.size_bytes = status.st_size
        self._descriptor = descriptor
        self.identity = (status.st_dev, status.st_ino)
        self._modified_ns = status.st_mtime_ns
        self._sha256: str | None = None
        self._hashing = threading.Lock()

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`. Raises InputError if the file has become shorter."""
        return self.read_array(offset, count).tobytes() if count > _BLOCK else self._read_small(offset, count)

    def _read_small(self, offset: int, count: int) -> bytes:
        data = os.pread(self._descriptor, count, offset)
        while len(data) < count:
            more = os.pread(self._descriptor, count - len(data), offset + len(data))
            if not more:
                raise self._changed()
            data += more
        return data

    def read_array(self, offset: int, count: int) -> np.ndarray:
        """`count` bytes from `offset` as an uint8 array of its own."""
        array = np.empty(count, np.uint8)
        view = memoryview(array.data)
        done = 0
        while done < count:
            got = os.preadv(self._descriptor, [view[done : done + (1 << 30)]], offset + done)
            if not got:
                raise self._changed()
            done += got
        return array

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the whole file, computed once."""
        with self._hashing:
            if self._sha256 is None:
                digest = hashlib.sha256()
                for offset in range(0, self.size_bytes, _BLOCK):
                    digest.update(self.read(offset, min(_BLOCK, self.size_bytes - offset)))
                self._sha256 = digest.hexdigest()
            return self._sha256

    def check_unchanged(self) -> None:
        """Raises InputError if the file was written to since it was opened."""
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (self.size_bytes, self._modified_ns):
            raise self._changed()

    def check_in_place(self) -> None:
        """Raises InputError if who opens its path now does not read the same as this."""
        self.check_unchanged()
        if not self.is_same_as(self.path):
            raise self._changed()

    def is_same_as(self, path: Path) -> bool:
        """True if `path` names this very file."""
        status = status_of(path)
        return status is not None and (status.st_dev, status.st_ino) == self.identity

    def _changed(self) -> InputError:
        return InputError(f"{self.path} changed while it was being read: run again when nothing writes to it")


def open_regular(path: Path) -> OpenFile:
    """Opens `path` without waiting (a FIFO would block). Raises InputError for anything but a readable regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from error
    except ValueError as error:  # a NUL byte or a lone surrogate; Python's words for it differ by version
        raise InputError(f"cannot read {path}: no file can have such a name") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(f"cannot read {path}: it is {kind}")
    return OpenFile(path, descriptor, status)


def opened_bytes(content: Iterable[bytes], name: str) -> OpenFile:
    """A file without a name that holds `content`, of which nothing is left; messages call it `name`."""
    with tempfile.TemporaryFile() as file:
        file.writelines(content)
        file.flush()
        return OpenFile(Path(name), os.dup(file.fileno()), os.fstat(file.fileno()))


def open_external(location: str, model: Path, tensor: str) -> OpenFile:
    """Opens the data file `location` that a tensor of the model file `model` names.

    Links are resolved first. The real file must lie below the folder of the model as named or below the folder in
    which the model file really is (so that the links of a Hugging Face cache work), and have no second hard link.
    """
    where = f"external data of {tensor!r}"
    if not location or location.startswith(("/", "\\")) or "\\" in location or "\0" in location:
        raise InputError(f"{where}: location {location!r} is not a relative path")
    if len(location) > 4096:
        raise InputError(f"{where}: its location has {len(location)} characters, more than any path")
    if ".." in location.split("/"):
        raise InputError(f"{where}: location {location!r} leaves the model's folder")
    if not location.isprintable():
        raise InputError(f"{where}: location {location!r} holds control characters")
    try:
        named = model.absolute().parent
        roots = {named.resolve(), model.resolve().parent}
        file = open_regular(named / location)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except OSError as error:
        raise InputError(f"{where}: the current folder is gone") from error
    opened = os.fstat(file._descriptor)
    real = (named / location).resolve()
    if not any(real.is_relative_to(root) for root in roots) or not file.is_same_as(real):
        raise InputError(f"{where}: {location!r} leads out of the model's folder")
    if opened.st_nlink > 1:
        raise InputError(f"{where}: {location!r} is a hard link to a file elsewhere")
    return file


def data_digest(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder with their names. "unreadable" where it cannot be read."""
    digest = hashlib.sha256()
    try:
        for place in _files(path):
            file = open_regular(place)
            digest.update(os.fsencode(place.relative_to(path.parent).as_posix()) + b"\0" + file.size_bytes.to_bytes(8))
            for offset in range(0, file.size_bytes, _BLOCK):
                digest.update(file.read(offset, min(_BLOCK, file.size_bytes - offset)))
    except (InputError, OSError):
        return "unreadable"  # whoever reads the data will say so
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    else:
        yield from sorted(file for file in path.rglob("*") if file.is_file())
