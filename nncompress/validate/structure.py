"""Takes outputs that are no arrays apart: sequences, maps and optional values become arrays to compare.

Maps in a row that have the same keys, which is how classifiers give the probabilities of their classes, become one
array with a row for each map and a column for each key. Where two outputs do not consist of the same, that is said in
words and nothing is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nncompress.feeds.specs import Array
from nncompress.runtime.session import OutputArray

_SHOWN_KEYS = 3
_WORDS = {"absent": "no value", "array": "an array", "sequence": "a sequence", "map": "a map"}


def pairs_of(reference: OutputArray, candidate: OutputArray) -> tuple[list[tuple[Array, Array]], str | None]:
    """Arrays to compare with one another, and what forbids comparing."""
    try:
        return list(_pairs("", reference, candidate)), None
    except _DiffersError as error:
        return [], str(error)


def as_array(output: OutputArray) -> OutputArray:
    """Maps in a row as the array that they are compared as; anything else as it is."""
    keys = _common_keys(output) if isinstance(output, list) else None
    return output if keys is None else _table(output, keys)


class _DiffersError(Exception):
    """Two outputs do not consist of the same."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}" if place else what)


def _pairs(place: str, ours: OutputArray, theirs: OutputArray) -> Iterator[tuple[Array, Array]]:
    kind = _kind_of(ours)
    if kind != _kind_of(theirs):
        raise _DiffersError(place, f"{_WORDS[_kind_of(theirs)]} instead of {_WORDS[kind]}")
    if kind == "sequence":
        yield from _pairs_of_sequences(place, ours, theirs)
    elif kind == "map":
        yield from _pairs_of_maps(place, ours, theirs)
    elif kind == "array":
        yield _alike(place, np.asarray(ours), np.asarray(theirs))


def _pairs_of_sequences(place: str, ours: Sequence[Any], theirs: Sequence[Any]) -> Iterator[tuple[Array, Array]]:
    if len(ours) != len(theirs):
        raise _DiffersError(place, f"a sequence of {len(theirs)} instead of {len(ours)}")
    keys = _common_keys([*ours, *theirs])
    if keys is not None:
        yield _table(ours, keys), _table(theirs, keys)
        return
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        yield from _pairs(f"{place}[{number}]", our, their)


def _pairs_of_maps(place: str, ours: dict[Any, Any], theirs: dict[Any, Any]) -> Iterator[tuple[Array, Array]]:
    missing, added = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    said = [f"{what} {_shown(keys)}" for what, keys in (("has no", missing), ("also has", added)) if keys]
    if said:
        raise _DiffersError(place, f"its map {' and '.join(said)}")
    keys = _common_keys([ours, theirs])
    if keys is not None:
        yield _table([ours], keys), _table([theirs], keys)
        return
    for key in sorted(ours):
        yield from _pairs(f"{place}[{key!r}]", ours[key], theirs[key])


def _alike(place: str, ours: Array, theirs: Array) -> tuple[Array, Array]:
    if _type_name(ours) != _type_name(theirs):
        raise _DiffersError(place, f"type changed from {ours.dtype.name} to {theirs.dtype.name}")
    if ours.shape != theirs.shape:
        raise _DiffersError(place, f"shape changed from {list(ours.shape)} to {list(theirs.shape)}")
    return ours, theirs


def _common_keys(items: Sequence[Any]) -> list[Any] | None:
    """The keys that all items have, which are maps to numbers; None where that is not so."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    keys = items[0].keys()
    alike = all(item.keys() == keys and all(isinstance(v, int | float) for v in item.values()) for item in items)
    return sorted(keys) if alike else None


def _table(maps: Iterable[dict[Any, Any]], keys: Sequence[Any]) -> Array:
    """A row for each map, a column for each key."""
    return np.array([[each[key] for key in keys] for each in maps])


def _kind_of(output: OutputArray) -> str:
    if output is None:
        return "absent"
    if isinstance(output, list | tuple):
        return "sequence"
    return "map" if isinstance(output, dict) else "array"


def _shown(keys: list[Any]) -> str:
    more = len(keys) - _SHOWN_KEYS
    return ", ".join(map(repr, keys[:_SHOWN_KEYS])) + (f" and {more} more keys" if more > 0 else "")


def _type_name(array: Array) -> str:
    """Texts are the same type however long."""
    return "text" if array.dtype.kind in "OUS" else array.dtype.name
