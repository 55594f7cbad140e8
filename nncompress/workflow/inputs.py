"""The files that a command reads, whatever else they are called: nothing that it writes may go over one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nncompress.errors import InputError
from nncompress.files.places import Place, is_folder, place_of, places_of, status_of

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
        return places_of((*self.models, *self.others))

    @cached_property
    def _read(self) -> set[Place]:
        data = places_of(file for model in self.models for file in _data_of(model))
        return data | places_of(file for folder in self.others if is_folder(folder) for file in _below(folder))


def _data_of(model: Path) -> list[Path]:
    from nncompress.onnx_file.read import data_places  # here alone, for onnx is slow to load

    try:
        return data_places(model)
    except InputError:
        return []  # whoever reads the model will say so


def _below(folder: Path) -> Iterator[Path]:
    """What can be data there; a report may well lie beside it."""
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names if name.endswith(DATA_ENDINGS))
