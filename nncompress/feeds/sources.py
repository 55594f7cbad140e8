"""Where feeds come from: each source knows how many feeds it has and reads those asked for, file by file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.arrays import UNNAMED, read_arrays
from nncompress.feeds.specs import Array, Feed, InputSpec, conform


class Source(Protocol):
    """Feeds that can be read again and again, always the same, in the same order. Must pickle."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Of a feed, for people to find it."""

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        """The feeds numbered `indices` (ascending), each with notes on what was converted or is unusual."""


@dataclass(frozen=True)
class NpzFolder:
    """A folder of .npz files: one feed each."""

    files: tuple[Path, ...]
    specs: tuple[InputSpec, ...]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].name

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        for index in indices:
            yield conform(read_arrays(self.files[index]), self.specs, str(self.files[index]))


@dataclass(frozen=True)
class StackedFile:
    """One .npz or .npy with a leading sample axis, cut into feeds of `batch` samples.

    An array whose name is in `unbatched` has one axis more than the model's input: a sample is a whole input.
    """

    file: Path
    count: int  # samples used
    batch: int
    unbatched: tuple[str, ...]
    specs: tuple[InputSpec, ...]

    def __len__(self) -> int:
        return -(-self.count // self.batch)

    def name(self, index: int) -> str:
        start, stop = self._range(index)
        return f"sample {start}" if stop == start + 1 else f"samples {start} to {stop - 1}"

    def _range(self, index: int) -> tuple[int, int]:
        return index * self.batch, min((index + 1) * self.batch, self.count)

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        arrays = read_arrays(self.file)
        names = [spec.name for spec in self.specs]
        if UNNAMED in arrays:
            arrays = {names[0]: arrays[UNNAMED]}
        for index in indices:
            start, stop = self._range(index)
            feed = {n: arrays[n][start] if n in self.unbatched else arrays[n][start:stop] for n in names}
            yield conform(feed, self.specs, f"{self.file} ({self.name(index)})")


@dataclass(frozen=True)
class TestDataSets:
    """ONNX `test_data_set_*` folders: one feed each, `input_N.pb` is the model's N-th input."""

    __test__ = False  # no test class, whatever pytest thinks of the name

    folders: tuple[Path, ...]
    specs: tuple[InputSpec, ...]

    def __len__(self) -> int:
        return len(self.folders)

    def name(self, index: int) -> str:
        return self.folders[index].name

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        for index in indices:
            yield conform(read_test_data_set(self.folders[index], self.specs), self.specs, str(self.folders[index]))


def read_test_data_set(folder: Path, specs: Sequence[InputSpec]) -> dict[str, Array]:
    """The arrays of one `test_data_set_*` folder, named by the model's inputs."""
    arrays = {}
    for file in sorted(folder.glob("input_*.pb")):
        number = file.stem.removeprefix("input_")
        if not number.isdecimal() or int(number) >= len(specs):
            raise InputError(f"{file}: the model has {len(specs)} inputs to feed, numbered from 0")
        arrays[specs[int(number)].name] = _read_tensor(file)
    return arrays


def _read_tensor(file: Path) -> Array:
    import onnx  # here alone, so that the process that runs models need not load it
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

    if not file.is_file():
        raise InputError(f"{file}: not a regular file")
    try:
        tensor = onnx.TensorProto.FromString(file.read_bytes())
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise InputError(f"{file}: external data is not read from test data")
        array: Array = onnx.numpy_helper.to_array(tensor)
    except (DecodeError, OSError, ValueError, TypeError, KeyError, MemoryError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{file}: cannot be read as a tensor (sequences are not supported): {reason}") from error
    if tensor.data_type == onnx.TensorProto.STRING:
        return _text(array)
    return array


def _text(array: Array) -> Array:
    """An array of bytes or str objects as unicode text."""
    decoded = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return np.array(decoded, dtype=np.str_).reshape(array.shape)
