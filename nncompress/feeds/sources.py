"""Where feeds come from: each source knows how many feeds it has and reads those asked for, file by file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nncompress.errors import InputError
from nncompress.feeds.arrays import UNNAMED, read_arrays, rows_of
from nncompress.feeds.protobuf import read_value
from nncompress.feeds.specs import Feed, InputSpec, conform


class Source(Protocol):
    """Feeds that can be read again and again, always the same, in the same order. Must pickle."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Of a feed, for people to find it."""

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        """The feeds numbered `indices` (ascending), each with notes on what was converted or is unusual."""

    def absolute(self) -> Source:
        """The same for a process in another folder."""


@dataclass(frozen=True)
class NpzFolder:
    """A folder of .npz files: one feed each."""

    files: tuple[Path, ...]
    specs: tuple[InputSpec, ...]

    def __len__(self) -> int:
        return len(self.files)

    def absolute(self) -> NpzFolder:
        return replace(self, files=tuple(file.absolute() for file in self.files))

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

    def absolute(self) -> StackedFile:
        return replace(self, file=self.file.absolute())

    def name(self, index: int) -> str:
        start, stop = self._range(index)
        return f"sample {start}" if stop == start + 1 else f"samples {start} to {stop - 1}"

    def _range(self, index: int) -> tuple[int, int]:
        return index * self.batch, min((index + 1) * self.batch, self.count)

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        names = [spec.name for spec in self.specs]
        with rows_of(self.file) as arrays:
            rows = {names[0]: arrays[UNNAMED]} if UNNAMED in arrays else {n: arrays[n] for n in names if n in arrays}
            for index in indices:
                start, stop = self._range(index)
                feed = {name: array.take(start, stop) for name, array in rows.items()}
                feed |= {name: feed[name][0] for name in self.unbatched}
                yield conform(feed, self.specs, f"{self.file} ({self.name(index)})")

    def finer(self, most: int) -> tuple[StackedFile, int]:
        """The same samples in feeds of at most so many, or of one, as far as the model leaves that open; and into how
        many each is cut."""
        fixed = any(s.shape and isinstance(s.shape[0], int) for s in self.specs if s.name not in self.unbatched)
        if fixed:
            return self, 1
        sizes = (size for size in range(1, self.batch + 1) if self.batch % size == 0 and size <= most)
        batch = max(sizes, default=1)
        return replace(self, batch=batch), self.batch // batch


@dataclass(frozen=True)
class TestDataSets:
    """ONNX `test_data_set_*` folders: one feed each, `input_N.pb` is the model's N-th input."""

    __test__ = False  # no test class, whatever pytest thinks of the name

    folders: tuple[Path, ...]
    specs: tuple[InputSpec, ...]

    def __len__(self) -> int:
        return len(self.folders)

    def absolute(self) -> TestDataSets:
        return replace(self, folders=tuple(folder.absolute() for folder in self.folders))

    def name(self, index: int) -> str:
        return self.folders[index].name

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        for index in indices:
            yield conform(read_test_data_set(self.folders[index], self.specs), self.specs, str(self.folders[index]))


def read_test_data_set(folder: Path, specs: Sequence[InputSpec]) -> Feed:
    """What one `test_data_set_*` folder holds, named by the model's inputs."""
    arrays: Feed = {}
    for file in sorted(folder.glob("input_*.pb")):
        number = file.stem.removeprefix("input_")
        if not number.isdecimal() or int(number) >= len(specs):
            raise InputError(f"{file}: the model has {len(specs)} inputs to feed, numbered from 0")
        arrays[specs[int(number)].name] = read_value(file, specs[int(number)])
    return arrays
