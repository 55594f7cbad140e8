"""The files that a command reads, whatever else they are called: nothing that it writes may go over one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nncompress.errors import InputError
from nncompress.model.files import is_folder, status_of

Place = tuple[int, int, str]
DATA_ENDINGS = (".npz", ".npy", ".pb")


@dataclass(frozen=True)
class Inputs:
    """Models, with the data files that they name, and other files and folders, with all that is in them."""

    models: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()

    def holds(self, path: Path) -> bool:
        """True if `path` is one of these files. Looks into models and folders only where `path` exists."""
        place = place_of(path)
        return place in self._named or (status_of(path) is not None and place in self._read)

    @cached_property
    def _named(self) -> set[Place]:
        return _places((*self.models, *self.others))

    @cached_property
    def _read(self) -> set[Place]:
        data = _places(file for model in self.models for file in _data_of(model))
        return data | _places(file for folder in self.others if is_folder(folder) for file in _below(folder))


def place_of(path: Path) -> Place:
    """Equal for all names of one file, hard links and links among them, and for those of one that is not there yet."""
    status = status_of(path)
    if status is not None:
        return status.st_dev, status.st_ino, ""
    real = _real(path)
    parent = status_of(real.parent)
    return (parent.st_dev, parent.st_ino, real.name) if parent is not None else (0, 0, str(real))


def _places(paths: Iterable[Path]) -> set[Place]:
    return {place_of(path) for path in paths}


def _real(path: Path) -> Path:
    """`path` with its links followed as far as they lead."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # the current folder is gone; a NUL byte
        return path


def _data_of(model: Path) -> list[Path]:
    from nncompress.model.io import data_places  # here alone, for onnx is slow to load

    try:
        return data_places(model)
    except InputError:
        return []  # whoever reads the model will say so


def _below(folder: Path) -> Iterator[Path]:
    """What can be data there; a report may well lie beside it."""
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names if name.endswith(DATA_ENDINGS))
