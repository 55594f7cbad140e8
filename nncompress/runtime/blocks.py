"""Runs a model block by block over feeds: what later blocks read is kept, within a budget of memory, else in files.

A block is written to a file by the process that has the model, and run by a child process (see child.py), which alone
holds activations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nncompress.feeds.feeds import Feeds
from nncompress.model.kind import Kind
from nncompress.numerics.held import Held, Plain, Store
from nncompress.numerics.threads import ahead
from nncompress.runtime.session import OutputArray, Part, open_session

BUDGET_BYTES = 128 << 20  # of activations in memory


_KEPT = {f"tensor({name})" for name in ("float", "double", "float16", "bool", "string")}
_KEPT |= {f"tensor({sign}int{bits})" for sign in ("", "u") for bits in (8, 16, 32, 64)}


class CannotKeepError(Exception):
    """A block ends at a value of a type that cannot be kept for the next one."""


@dataclass(frozen=True)
class Block:
    """A file, what it reads of what is there, and which of its results are kept. Pickles."""

    path: Path
    part: Part  # whose block it is: who is to blame where it cannot be run
    inputs: tuple[str, ...]
    kept: tuple[str, ...]
    seen: tuple[str, ...] = ()  # other results, which are looked at as they come


@dataclass
class Activations:
    """Values by name, each of them for every feed."""

    store: Store
    arrays: dict[str, list[Held]] = field(default_factory=dict)

    def add(self, name: str, array: np.ndarray, own: Store) -> None:
        """The value for one feed more; `own` is the store of its name."""
        held = Plain(array) if array.dtype.hasobject else own.hold(np.ascontiguousarray(array).reshape(array.shape))
        self.arrays.setdefault(name, []).append(held)

    def of(self, names: Collection[str], index: int) -> dict[str, np.ndarray]:
        """These values for one feed."""
        return {name: self.arrays[name][index].load() for name in names}

    def keep(self, names: Collection[str]) -> None:
        """Drops all others."""
        self.arrays = {name: arrays for name, arrays in self.arrays.items() if name in names}


def start(feeds: Feeds, store: Store) -> Activations:
    """The inputs of the model for every feed."""
    activations = Activations(store)
    stores: dict[str, Store] = {}
    for feed in feeds:
        for name, array in feed.items():
            activations.add(name, array, stores.setdefault(name, store.apart()))
    return activations


Look = Callable[[int, dict[str, np.ndarray]], None]
"""What is done with results of a feed."""


def run_block(block: Block, activations: Activations, count: int, look: Look, threads: int = 1) -> dict[str, Kind]:
    """Runs `block` on `count` feeds, each on one thread; what it keeps goes to `activations`, what it shows to `look`.

    Returns what the kept values are like. Raises CannotKeepError, before anything runs, for one that numpy has no type
    for.
    """
    session = open_session(block.path, block.part)
    for name in block.kept:
        if session.outputs[name] not in _KEPT:
            raise CannotKeepError(f"{name!r} is a {session.outputs[name]}")
    stores = {name: activations.store.apart() for name in block.kept}
    kinds: dict[str, Kind] = {}

    def run(index: int) -> list[OutputArray]:
        return session.run(activations.of(block.inputs, index))

    for index, outputs in enumerate(ahead(run, range(count), threads)):
        results = dict(zip(session.outputs, outputs, strict=True))
        for name in block.kept:
            activations.add(name, results[name], stores[name])
            kinds[name] = _joined(kinds.get(name), results[name])
        look(index, {name: results[name] for name in block.seen})
    return kinds


def kinds_of(activations: Activations) -> dict[str, Kind]:
    """What all values are like."""
    kinds: dict[str, Kind] = {}
    for name, arrays in activations.arrays.items():
        for held in arrays:
            kinds[name] = _joined(kinds.get(name), held.load())
    return kinds


def _joined(kind: Kind | None, array: np.ndarray) -> Kind:
    dtype = None if array.dtype.kind in "OUST" else array.dtype
    return Kind(dtype, array.ndim if kind is None or kind.rank == array.ndim else None)
