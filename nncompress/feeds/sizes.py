"""Picks sizes for the free dimensions of a model's inputs: sensible ones first, then others worth a try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nncompress.errors import UsageError, nearest
from nncompress.feeds.names import BATCH_DIM, PAST_DIM, SEQUENCE_DIM, TOTAL_DIM, is_state
from nncompress.feeds.specs import Feed, InputSpec

Sizes = dict[str, int]
"""Size of each free dimension, by its key: the symbol, or INPUT:AXIS where it has none."""

_TRIALS = (32, 64, 224, 1, 8, 320, 48, 128, 256, 512, 4, 2, 576, 16000)
_BATCHES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 32, 49, 64, 100)
_SEQUENCE_SIZE = 16
_IMAGE_SIZE = 64
_RANKS = (2, 3, 4, 1, 0, 5)  # of inputs that state none


def key_of(spec: InputSpec, axis: int) -> str:
    """The name under which the size of a free dimension is set."""
    size = spec.shape[axis] if spec.shape is not None else None
    return size if isinstance(size, str) else f"{spec.name}:{axis}"


def shape_with(spec: InputSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The input's shape with all free sizes filled in."""
    return tuple(s if isinstance(s, int) else sizes[key_of(spec, axis)] for axis, s in enumerate(spec.shape or ()))


def with_ranks(specs: Sequence[InputSpec]) -> list[tuple[InputSpec, ...]]:
    """The same where all ranks are known; else once for each rank that the others may have, likeliest first."""
    if all(spec.shape is not None for spec in specs):
        return [tuple(specs)]
    return [
        tuple(spec if spec.shape is not None else replace(spec, shape=(None,) * rank) for spec in specs)
        for rank in _RANKS
    ]


def free_sizes(specs: Sequence[InputSpec]) -> list[str]:
    """The names under which sizes can be set."""
    return list(dict.fromkeys(key for tried in with_ranks(specs) for key in _roles(tried)))


def has_sizes(specs: Sequence[InputSpec], dims: Mapping[str, int]) -> bool:
    """Whether inputs of these ranks have all the free dimensions that `dims` sets."""
    return dims.keys() <= _roles(specs).keys()


def check_dims(dims: Mapping[str, int], specs: Sequence[InputSpec]) -> None:
    """Raises UsageError for sizes that the user cannot have meant."""
    known = free_sizes(specs)
    for name, size in dims.items():
        if name not in known:
            listed = ", ".join(repr(key) for key in known)
            hint = nearest(name, known) or (f" (free ones: {listed})" if known else " (all sizes are fixed)")
            raise UsageError(f"--dim {name}={size}: the model's inputs have no free dimension {name!r}{hint}")
        if size < 0:
            raise UsageError(f"--dim {name}={size}: a size cannot be negative")


def batch_sizes(feed: Feed, specs: Sequence[InputSpec]) -> frozenset[int]:
    """Sizes of the first axes of `feed` that may be the batch's: not those of states, nor of steps, rows or lengths."""
    leading = [feed.get(spec.name) for spec in specs if not is_state(spec.name) and _leads(spec)]
    return frozenset(len(array) for array in leading if isinstance(array, np.ndarray) and array.ndim)


def _leads(spec: InputSpec) -> bool:
    first = spec.shape[0] if spec.shape else None
    return _role(spec, 0, first if isinstance(first, str) else "") == "batch"


def size_choices(specs: Sequence[InputSpec], dims: Mapping[str, int], known: Mapping[str, int]) -> list[Sizes]:
    """Assignments worth trying, best first: `dims` of the user win over what is `known` from the graph over guesses."""
    roles = _roles(specs)
    settled = {**known, **dims}
    choices: list[Sizes] = []
    for batch, sequence, image, past in _trials(roles):
        guess = {"batch": batch, "sequence": sequence, "image": image, "past": past}
        sizes = {key: settled.get(key, guess.get(role, sequence)) for key, role in roles.items()}
        for key, role in roles.items():
            if role == "total" and key not in settled:
                sizes[key] = _total(key, sizes, roles)
        if sizes not in choices:
            choices.append(sizes)
    return choices


def _trials(roles: Mapping[str, str]) -> Iterator[tuple[int, int, int, int]]:
    """(batch, sequence, image, past) sizes."""
    yield 1, _SEQUENCE_SIZE, _IMAGE_SIZE, 0
    if "past" in roles.values():
        yield 1, _SEQUENCE_SIZE, _IMAGE_SIZE, 1
        yield 1, 1, _IMAGE_SIZE, 8
    for size in _TRIALS:
        yield 1, size, size, 0
    for batch in _BATCHES:
        yield batch, _SEQUENCE_SIZE, _IMAGE_SIZE, 0


def _roles(specs: Sequence[InputSpec]) -> dict[str, str]:
    """What each free dimension is taken for: batch, sequence, image, past or total."""
    roles: dict[str, str] = {}
    for spec in specs:
        for axis, size in enumerate(spec.shape or ()):
            if not isinstance(size, int):
                roles.setdefault(key_of(spec, axis), _role(spec, axis, size or ""))
    return roles


def _role(spec: InputSpec, axis: int, symbol: str) -> str:
    shape = spec.shape or ()
    if TOTAL_DIM.search(symbol) or "+" in symbol:
        return "total"
    if PAST_DIM.search(symbol):
        return "past"
    if BATCH_DIM.search(symbol):
        return "batch"
    if is_state(spec.name):  # [layers, batch, size], or [batch, heads, past, size] of a decoder
        return "past" if len(shape) == 4 and axis == 2 else "batch"
    if len(shape) >= 4 and axis > 0:
        return "batch" if axis == 1 and len(shape) == 4 and shape[3] not in (1, 3) else "image"
    if SEQUENCE_DIM.search(symbol):
        return "sequence"
    return "batch" if axis == 0 else "sequence"


def _total(key: str, sizes: Mapping[str, int], roles: Mapping[str, str]) -> int:
    """The size of "a + b" or of "total_sequence_length": what is past and what is new together."""
    parts = [part.strip() for part in key.split("+")]
    if len(parts) > 1 and all(part in sizes or part.isdecimal() for part in parts):
        return sum(int(part) if part.isdecimal() else sizes[part] for part in parts)
    past = next((sizes[k] for k, role in roles.items() if role == "past"), 0)
    return past + next((sizes[k] for k, role in roles.items() if role == "sequence"), _SEQUENCE_SIZE)
