"""Reads labels: one row a sample, in feed order; what they mean is the business of the task metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.arrays import UNNAMED, read_arrays, require_regular
from nncompress.feeds.hints import labels_hint, one_hot_hint
from nncompress.feeds.specs import Array
from nncompress.files.kinds import kind_at

NAME = "labels"
_SAVING = 'np.savez("labels.npz", labels=...)'


def read_labels(path: Path, data: Path) -> Array:
    """Labels [N, ...] from a .npz (or .npy) file.

    Of several arrays, the one called `labels` is taken, or else the one called like the data's folder or file.
    """
    require_regular(path)
    if path.is_dir() or path.suffix not in (".npz", ".npy"):
        kind = kind_at(path)
        what = kind.what if kind is not None else "a folder" if path.is_dir() else "another file"
        raise InputError(f"{path}: labels come from a .npz or .npy file, this is {what}: {_SAVING} writes them")
    arrays = read_arrays(path)
    wanted = [name for name in (UNNAMED, NAME, data.resolve().name, data.stem) if name in arrays]
    if not wanted and len(arrays) != 1:
        names = ", ".join(repr(name) for name in arrays) or "none"
        raise InputError(
            f"{path}: no array called 'labels' or {data.stem!r} (arrays found: {names}){labels_hint(arrays)}"
        )
    return as_labels(arrays[wanted[0] if wanted else next(iter(arrays))], str(path))


def as_labels(array: Array, where: str) -> Array:
    """`array` with at least one axis; InputError when it is empty or holds no numbers."""
    if array.dtype.kind not in "iubf":
        numbers = ": number them as the model numbers its classes" if array.dtype.kind in "US" else ""
        raise InputError(f"{where}: labels must be numbers, these are {_kind(array)}{numbers}")
    if array.size == 0:
        raise InputError(f"{where}: there are no labels")
    return array.reshape(-1) if array.ndim == 0 else array


def class_numbers(labels: Array) -> Array:
    """Labels as int64 [N]; InputError when they do not hold class numbers."""
    if labels.dtype.kind not in "iub":
        whole = bool(np.isfinite(labels).all()) and bool((labels == np.floor(labels)).all())
        cast = ': labels.astype("int64") makes them integers' if whole else ": --metric mse compares numbers"
        raise InputError(
            f"labels must be class numbers (integers), these are {_kind(labels)}{one_hot_hint(labels) or cast}"
        )
    return np.asarray(labels, dtype=np.int64).reshape(-1)


def _kind(array: Array) -> str:
    return "text" if array.dtype.kind in "US" else array.dtype.name
