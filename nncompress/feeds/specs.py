"""What a model's inputs look like, and the check that a set of named arrays fits them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.hints import fits_sizes, name_hint, shape_hint, type_hint
from nncompress.files.kinds import advice, kind_at

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Any]
"""One call of the model, by the names of its inputs: arrays, batch included; lists of arrays for sequences, a dict for
a map, None for an optional value that is not there."""

_CASTS = {("int32", "int64"), ("float64", "float32")}
"""(found, wanted): the only conversions that are done for the user, and said."""


_SHOWN = 3  # inputs in a message; a decoder has dozens
_FEEDABLE = {(), ("optional",), ("sequence",), ("optional", "sequence"), ("map",)}


@dataclass(frozen=True)
class InputSpec:
    """One input that has to be fed (initializers are not listed)."""

    name: str
    dtype: np.dtype[Any] | None  # None: texts, or not stated
    shape: tuple[int | str | None, ...] | None  # None: rank unknown; str or None: the size is free
    holds: tuple[str, ...] = ()  # what is around such tensors, from the outside in: "optional", "sequence", "map"
    kind: str = ""  # the type in words, where that is not clear from the dtype
    key: type = str  # of a map

    @property
    def optional(self) -> bool:
        """Whether it can be left out."""
        return self.holds[:1] == ("optional",)

    @property
    def is_array(self) -> bool:
        """Whether arrays are what it is given."""
        return self.holds in ((), ("optional",))


class Header(Protocol):
    """Shape and type of an array; numpy arrays are headers too."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


def require_feedable(specs: Sequence[InputSpec]) -> None:
    """Raises InputError for an input of a type that onnxruntime takes in no way from Python, such as maps to int64."""
    for spec in specs:
        if spec.holds not in _FEEDABLE or (spec.holds == ("map",) and spec.dtype != np.float32):
            raise InputError(
                f"input {spec.name!r} is {spec.kind}, which cannot be given to onnxruntime from Python, so that the "
                "model cannot be run: compress it with --no-validate"
            )


def check_arrays(
    arrays: Mapping[str, Any], specs: Sequence[InputSpec], where: str, stored: Mapping[str, Sequence[int]] | None = None
) -> None:
    """Raise InputError where names, types, ranks or fixed sizes do not fit; `where` names the data in the message.

    `stored`: the shapes that the user knows, of a file of which these arrays are the first samples.
    """
    known = [spec.name for spec in specs]
    for name in arrays:
        if name not in known:
            raise InputError(f"{where}: array {name!r} is no input of the model{name_hint(name, known)}")
    missing = [spec.name for spec in specs if spec.name not in arrays and not spec.optional]
    if missing:
        raise InputError(f"{where}: no array for the model's input {_quoted(missing)} (found {_quoted(arrays)})")
    for spec in specs:
        for header in _headers(arrays.get(spec.name), spec, where):
            problems = [_type_problem(header.dtype, spec), _shape_problem(header.shape, spec, stored)]
            if any(problems):
                raise InputError(f"{where}: array {spec.name!r} {'; it '.join(filter(None, problems))}")


def no_samples(path: Path, problem: str, specs: Sequence[InputSpec]) -> str:
    """What is said of a file or folder that is no data: what it is, if that can be told, and what would be data."""
    kind = kind_at(path)
    what = f"it is {kind.what}, no samples{advice(kind, path, wanted='data')}" if kind is not None else problem
    shown, more = specs[:_SHOWN], ", ..." * (len(specs) > _SHOWN)
    given = ", ".join(f"{spec.name}=..." for spec in shown) + more
    sizes = ", ".join(f"{spec.name}: {spec.dtype or 'text'} {_sizes(spec.shape)}" for spec in shown) + more
    return f'{path}: {what}; np.savez("data.npz", {given}) writes samples ({sizes})'


def conform(arrays: Mapping[str, Any], specs: Sequence[InputSpec], where: str) -> tuple[Feed, tuple[str, ...]]:
    """The feed in the model's own types and input order, with notes on what was converted or is unusual."""
    check_arrays(arrays, specs, where)
    feed: Feed = {}
    notes = []
    for spec in specs:
        array = arrays.get(spec.name)
        if array is None or isinstance(array, list | dict):
            feed[spec.name] = _converted_parts(array, spec)
            continue
        feed[spec.name] = _converted(array, spec)
        if spec.dtype is not None and array.dtype.newbyteorder("=").name != spec.dtype.name and array.dtype.kind != "V":
            notes.append(f"input {spec.name!r}: {array.dtype.name} data converted to {spec.dtype.name}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            notes.append(f"input {spec.name!r}: the data holds values that are not finite")
    return feed, tuple(notes)


def value_text(value: Any) -> str:
    """What an input is given, such as "float32 1×16" or "2 x int64 4"."""
    if isinstance(value, list):
        return f"{len(value)} x {value_text(value[0])}" if value else "nothing"
    if isinstance(value, dict):
        return f"{len(value)} keys"
    return "nothing" if value is None else f"{value.dtype} {'×'.join(map(str, value.shape)) or 'scalar'}"


def _headers(value: Any, spec: InputSpec, where: str) -> list[Header]:
    """What is to be checked of a value: the array, those of a sequence, none of a map or of what is not there.

    Raises InputError for a value that is no such thing as the input.
    """
    if value is None and spec.optional:
        return []
    wanted = {"sequence": list, "map": dict}.get(spec.holds[-1]) if spec.holds else None
    if (isinstance(value, list | dict) or wanted) and not (wanted and isinstance(value, wanted)):
        raise InputError(f"{where}: input {spec.name!r} is {spec.kind}, and the data is not")
    return [] if isinstance(value, dict) else value if isinstance(value, list) else [value]


def _converted_parts(value: Any, spec: InputSpec) -> Any:
    if isinstance(value, dict):
        return {spec.key(key): float(number) for key, number in value.items()}
    return None if value is None else [_converted(array, spec) for array in value]


def fits(shape: Sequence[int], spec: InputSpec) -> bool:
    """Whether rank and fixed sizes agree."""
    return spec.shape is None or fits_sizes(shape, spec.shape)


def _type_problem(dtype: np.dtype[Any], spec: InputSpec) -> str:
    if dtype.hasobject:
        return "holds Python objects, which are not read"
    if spec.dtype is None:
        return "" if dtype.kind == "U" else f"is {dtype.name}, and the model's input is no numeric tensor"
    same = dtype.newbyteorder("=") == spec.dtype
    stored_raw = dtype.kind == "V" and dtype.names is None and dtype.itemsize == spec.dtype.itemsize
    raw_wanted = spec.dtype.isbuiltin != 1  # bfloat16 and its kin come back from .npz as raw bytes
    if same or (dtype.name, spec.dtype.name) in _CASTS or (stored_raw and raw_wanted):
        return ""
    return f"is {dtype.name}, the model's input is {spec.dtype.name}{type_hint(dtype, spec.dtype)}"


def _shape_problem(shape: tuple[int, ...], spec: InputSpec, stored: Mapping[str, Sequence[int]] | None = None) -> str:
    if spec.shape is None or fits(shape, spec):
        return ""
    given, sizes = (
        (shape, spec.shape) if stored is None else (stored[spec.name], (None,)[: len(spec.shape)] + spec.shape[1:])
    )
    shown = ", ".join(map(str, given))
    return f"has shape [{shown}], the model's input is {_sizes(spec.shape)}{shape_hint(given, sizes)}"


def _sizes(shape: Sequence[int | str | None] | None) -> str:
    shown = ["..."] if shape is None else ["?" if size is None else str(size) for size in shape]
    return f"[{', '.join(shown)}]"


def _converted(array: Array, spec: InputSpec) -> Array:
    if spec.dtype is None:
        return array
    if array.dtype.kind == "V":
        return np.ascontiguousarray(array).view(spec.dtype)
    # asarray rather than ascontiguousarray: the latter turns a scalar into a vector
    return np.asarray(array, dtype=spec.dtype, order="C")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
