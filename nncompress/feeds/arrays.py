"""Reads .npz and .npy files without trusting them: no pickles, headers before data, every fault an InputError."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.specs import Array
from nncompress.files.kinds import ARRAYS, advice, kind_at

UNNAMED = ""
"""Key of the one array of a .npy file."""

_FAULTS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,  # an encrypted archive
    NotImplementedError,  # an unknown way of packing
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)


@dataclass(frozen=True)
class ArrayHeader:
    """Shape and type of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_headers(path: Path) -> dict[str, ArrayHeader]:
    """Shape and type of each array in a .npz or .npy file, without reading the data."""
    with _readable(path):
        if path.suffix == ".npy":
            with path.open("rb") as file:
                return {UNNAMED: _header(file, path.stat().st_size)}
        with zipfile.ZipFile(path) as archive:
            headers = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    headers[name] = _header(file, member.file_size, name)
    return headers


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of a .npz or .npy file (a .npy is mapped, not read)."""
    with _readable(path):
        if path.suffix == ".npy":
            return {UNNAMED: np.load(path, mmap_mode="r", allow_pickle=False)}
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


class Rows(Protocol):
    """An array, of which parts along its first axis are taken one after the other."""

    def take(self, start: int, stop: int) -> Array:
        """Rows `start` to `stop` - 1, none of which comes before those taken earlier."""


@contextmanager
def rows_of(path: Path) -> Iterator[dict[str, Rows]]:
    """The arrays of a .npz or .npy file, until the block ends, of which only the rows that are taken are held."""
    if path.suffix == ".npy":
        yield {name: _Whole(array) for name, array in read_arrays(path).items()}
        return
    with ExitStack() as stack:
        with _readable(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            rows = {
                member.filename.removesuffix(".npy"): _rows(stack.enter_context(archive.open(member)), path, member)
                for member in archive.infolist()
            }
        yield rows


def _rows(file: IO[bytes], path: Path, member: zipfile.ZipInfo) -> Rows:
    name = member.filename.removesuffix(".npy")
    shape, by_column, dtype = _checked_header(file, member.file_size, name)
    if by_column and len(shape) > 1:
        with np.load(path, allow_pickle=False) as archive:
            return _Whole(archive[name])
    return _Streamed(path, file, file.tell(), shape, dtype)


@dataclass(frozen=True)
class _Whole:
    array: Array

    def take(self, start: int, stop: int) -> Array:
        return self.array[start:stop]


@dataclass(frozen=True)
class _Streamed:
    path: Path
    file: IO[bytes]
    offset: int  # of the first row
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def take(self, start: int, stop: int) -> Array:
        rows = (max(min(stop, self.shape[0]) - start, 0), *self.shape[1:])
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        with _readable(self.path):
            self.file.seek(self.offset + start * row_bytes)
            data = bytearray(self.file.read(rows[0] * row_bytes))
            return np.frombuffer(data, self.dtype, math.prod(rows)).reshape(rows)


def require_regular(path: Path) -> None:
    """Refuse what is missing and what is neither file nor folder: opening a FIFO would wait for ever."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: neither a regular file nor a folder")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    require_regular(path)
    try:
        yield
    except _FAULTS as error:
        kind, wanted = kind_at(path), path.suffix or "an array file"
        if kind is not None and kind not in ARRAYS:
            raise InputError(f"{path}: it is {kind.what}, no {wanted}{advice(kind, path, wanted='data')}") from error
        reason = str(error).split("\n")[0] or "it is damaged"
        raise InputError(f"{path}: cannot be read as {wanted}: {reason}") from error


def _header(file: IO[bytes], size_bytes: int, name: str = UNNAMED) -> ArrayHeader:
    shape, _, dtype = _checked_header(file, size_bytes, name)
    return ArrayHeader(shape, dtype)


def _checked_header(file: IO[bytes], size_bytes: int, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, by_column, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"unsupported .npy version {version[0]}.{version[1]}")
    if dtype.hasobject:
        which = f"array {name!r}" if name else "it"
        raise ValueError(f"{which} holds Python objects, not numbers: np.stack makes one array of a list of equal ones")
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize > size_bytes:
        raise ValueError(f"truncated: an array of shape {shape} does not fit into {size_bytes} bytes")
    return tuple(shape), by_column, dtype
