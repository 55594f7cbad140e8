"""Sample inputs for a model, from the files that users have: read lazily, checked before anything runs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.errors import InputError
from nncompress.feeds.arrays import UNNAMED, ArrayHeader, read_arrays, read_headers, require_regular
from nncompress.feeds.labels import NAME as LABELS, as_labels, read_labels
from nncompress.feeds.sources import NpzFolder, Source, StackedFile, TestDataSets, read_test_data_set
from nncompress.feeds.specs import Array, Feed, InputSpec, check_arrays, fits, no_samples, require_feedable

__all__ = ["SYNTHETIC", "Array", "Feed", "Feeds", "InputSpec", "digest_of", "load_feeds"]

SYNTHETIC = "synthetic"
DEFAULT_BATCH = 32
FEWEST_FEEDS = 4  # a stacked file is cut finer than DEFAULT_BATCH to give at least so many


@dataclass(frozen=True, eq=False)
class Feeds:
    """Feeds that can be iterated again and again: always the same ones in the same order. Pickles."""

    source: Source
    indices: tuple[int, ...]  # ascending: which of the source's feeds
    origin: str  # path of the data, or "synthetic"
    seed: int | None = None  # of synthetic feeds
    labels: Array | None = None  # int64 [samples], in feed order
    notes: tuple[str, ...] = ()  # what was noticed about the data when it was opened

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Feed]:
        return (feed for feed, _ in self.read())

    def read(self) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        """Each feed with notes on what was converted or is unusual in it."""
        return self.source.read(self.indices)

    def some(self, places: slice) -> Feeds:
        """Those at `places`, without labels: what is computed from them is no judgement on a task."""
        return replace(self, indices=self.indices[places], labels=None)

    def absolute(self) -> Feeds:
        """The same for a process in another folder."""
        return replace(self, source=self.source.absolute())

    def finer(self, most: int) -> Feeds:
        """The same samples in feeds of at most so many, or of one, where they lie in one file and the model has no
        batch size of its own."""
        if not isinstance(self.source, StackedFile):
            return self
        source, pieces = self.source.finer(most)
        indices = (index * pieces + piece for index in self.indices for piece in range(pieces))
        return replace(self, source=source, indices=tuple(index for index in indices if index < len(source)))

    @property
    def names(self) -> tuple[str, ...]:
        """One a feed, for people to find it."""
        return tuple(self.source.name(index) for index in self.indices)

    @property
    def synthetic(self) -> bool:
        return self.origin == SYNTHETIC


def digest_of(feed: Feed) -> str:
    """SHA-256 of a feed of tensors."""
    digest = hashlib.sha256()
    for name in sorted(feed):
        array = feed[name]
        content = array.tobytes() if not array.dtype.hasobject else repr(array.tolist()).encode()
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + content)
    return digest.hexdigest()


@functools.lru_cache(maxsize=16)  # it reads them all
def digest_of_all(feeds: Feeds) -> str:
    """SHA-256 of all of them, in their order, and of their labels."""
    digests = "".join(map(digest_of, feeds)).encode()
    return hashlib.sha256(digests if feeds.labels is None else digests + feeds.labels.tobytes()).hexdigest()


def load_feeds(path: Path, inputs: Sequence[InputSpec], labels: Path | None = None) -> Feeds:
    """Feeds from a folder of .npz, one stacked .npz or .npy, or ONNX `test_data_set_*` folders.

    Every header is checked against `inputs` here; the data itself is read when it is iterated. Raises InputError.
    """
    require_regular(path)
    specs = tuple(inputs)
    if not specs:
        raise InputError(f"{path}: the model has no inputs to feed")
    require_feedable(specs)
    feeds = _from_folder(path, specs) if path.is_dir() else _from_file(path, specs)
    return feeds if labels is None else replace(feeds, labels=read_labels(labels, path))


def _from_folder(path: Path, specs: tuple[InputSpec, ...]) -> Feeds:
    files = tuple(sorted(file for file in path.glob("*.npz") if not file.name.startswith(".")))
    if files:
        _require_arrays(specs, path)
        for file in files:
            check_arrays(read_headers(file), specs, str(file))
        return _all_of(NpzFolder(files, specs), path)
    folders = tuple(sorted((f for f in path.glob("test_data_set_*") if f.is_dir()), key=_number))
    if not folders and any(path.glob("input_*.pb")):
        folders = (path,)
    if not folders:
        raise InputError(no_samples(path, "holds neither .npz files nor test_data_set_* folders", specs))
    for folder in folders:
        check_arrays(read_test_data_set(folder, specs), specs, str(folder))
    return _all_of(TestDataSets(folders, specs), path)


def _from_file(path: Path, specs: tuple[InputSpec, ...]) -> Feeds:
    if path.suffix not in (".npz", ".npy"):
        raise InputError(no_samples(path, "data is a folder, a .npz or a .npy file", specs))
    _require_arrays(specs, path)
    headers = read_headers(path)
    if UNNAMED in headers and len(specs) != 1:
        raise InputError(f"{path}: a .npy file serves models with one input, this one has {len(specs)}: use a .npz")
    if UNNAMED in headers:
        headers = {specs[0].name: headers[UNNAMED]}
    labelled = LABELS in headers and all(spec.name != LABELS for spec in specs)
    arrays = {name: header for name, header in headers.items() if not (labelled and name == LABELS)}
    if labelled and not arrays:
        raise InputError(f"{path}: it holds labels only: give them with --labels, and the samples with --data")
    labels = as_labels(read_arrays(path)[LABELS], str(path)) if labelled else None
    if _is_one_feed(arrays, specs):
        check_arrays(arrays, specs, str(path))
        return replace(
            _all_of(NpzFolder((path,), specs), path),
            labels=labels,
            notes=("the data file was taken for one feed, not for stacked samples",),
        )
    return _cut(path, arrays, specs, labels)


def _require_arrays(specs: tuple[InputSpec, ...], path: Path) -> None:
    for spec in specs:
        if not spec.is_array:
            raise InputError(
                f"{path}: input {spec.name!r} is {spec.kind}, which no .npz holds: give test_data_set_* folders"
            )


def _is_one_feed(arrays: dict[str, ArrayHeader], specs: tuple[InputSpec, ...]) -> bool:
    """Several arrays without a common leading size that fit the model just as they are."""
    leading = {header.shape[0] if header.shape else None for header in arrays.values()}
    if len(arrays) < 2 or (len(leading) == 1 and None not in leading):
        return False
    return all(spec.name in arrays and fits(arrays[spec.name].shape, spec) for spec in specs if not spec.optional)


def _cut(path: Path, arrays: dict[str, ArrayHeader], specs: tuple[InputSpec, ...], labels: Array | None) -> Feeds:
    """Feeds of a file with a leading sample axis."""
    unbatched = tuple(s.name for s in specs if s.name in arrays and _has_extra_axis(arrays[s.name], s))
    count, batch = _count_and_batch(path, arrays, specs, unbatched)
    as_fed = {
        name: ArrayHeader(h.shape[1:] if name in unbatched else (min(batch, count), *h.shape[1:]), h.dtype)
        for name, h in arrays.items()
    }
    check_arrays(as_fed, specs, str(path), {name: header.shape for name, header in arrays.items()})
    notes: tuple[str, ...] = ()
    fixed = any(s.shape and isinstance(s.shape[0], int) for s in specs if s.name not in unbatched)
    used = count - count % batch if fixed else count
    if used < count:
        notes = (f"the last {count - used} of {count} samples are left out: the model's batch size is {batch}",)
    if labels is not None and len(labels) == count:
        labels = labels[:used]
    return replace(_all_of(StackedFile(path, used, batch, unbatched, specs), path), labels=labels, notes=notes)


def _count_and_batch(
    path: Path, arrays: dict[str, ArrayHeader], specs: tuple[InputSpec, ...], unbatched: tuple[str, ...]
) -> tuple[int, int]:
    """(samples in the file, samples in a feed)."""
    counts = {name: header.shape[0] if header.shape else 0 for name, header in arrays.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise InputError(f"{path}: the arrays differ in their number of samples ({shown}); use a folder of .npz files")
    count = next(iter(counts.values()), 0)
    if count == 0:
        raise InputError(f"{path}: there are no samples in it")
    fixed = {spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], int)}
    if unbatched:
        return count, 1
    if fixed:
        batch = min(size for size in fixed if isinstance(size, int))
        if batch > count:
            raise InputError(f"{path}: {count} samples, and the model's batch size is fixed at {batch}")
        return count, max(batch, 1)
    return count, min(DEFAULT_BATCH, -(-count // FEWEST_FEEDS))


def _has_extra_axis(header: ArrayHeader, spec: InputSpec) -> bool:
    return spec.shape is not None and len(header.shape) == len(spec.shape) + 1


def _all_of(source: Source, path: Path) -> Feeds:
    return Feeds(source, tuple(range(len(source))), str(path))


def _number(folder: Path) -> tuple[int, str]:
    digits = folder.name.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else 0, folder.name)
