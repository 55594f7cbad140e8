"""One output sample by sample: what is summed up over each, and which sample came off worst.

With p = sum(r^2) / n and e = sum((r - c)^2) / n over the n values of a sample that are finite in both:

    SQNR = 10 log10(max(p, quiet) / e) dB,    cosine = sum(r c) / sqrt(sum(r^2) sum(c^2)), where p >= quiet and n > 1.

A sample that is (nearly) zero in the original has no direction to keep, and any error is large beside it; so it is with
few values that lie near zero by chance. Hence quiet = max(Q p', (C / n)^2 e'), where p' is the typical power (the lower
median of the samples within 60 dB of the mean) and e' the typical error (the lower median of all samples).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nncompress.feeds.specs import Array
from nncompress.results.record import AtSample

Table = np.ndarray[Any, np.dtype[np.void]]
"""A row a sample, with the columns of `COLUMNS`."""

_COUNTS = ("elements", "equal", "floats", "finite", "nonfinite_reference", "nonfinite_candidate", "broken")
_SUMS = ("rr", "cc", "rc", "ee", "largest")
COLUMNS = np.dtype([(name, np.float64) for name in (*_COUNTS, *_SUMS, "tops", "same_top")])

_CHUNK = 1 << 20  # elements converted to float64 at a time
_CLASSES = range(2, 100_001)  # lengths of a last axis that may be classes
_QUIET = 1e-4  # Q: 40 dB below a typical sample
_CHANCE = 14.0  # C: of one value, errors up to 14 times the typical one are taken for chance
_FAINT = 1e-6  # 60 dB below the mean: no typical sample


def table_of(reference: Array, candidate: Array, rows: int) -> Table:
    """One line for each of the `rows` parts of two arrays of the same shape, cut along the first axis."""
    table = np.zeros(rows, COLUMNS)
    if reference.size == 0:
        return table
    flat = reference.reshape(rows, -1), candidate.reshape(rows, -1)
    table["elements"] = flat[0].shape[1]
    if reference.dtype.kind not in "fc":
        table["equal"] = np.count_nonzero(flat[0] == flat[1], axis=1)
        return table
    table["floats"] = table["elements"]
    step = max(1, _CHUNK // flat[0].shape[1])
    for first in range(0, rows, step):
        for start in range(0, flat[0].shape[1], _CHUNK):
            part = slice(first, first + step), slice(start, start + _CHUNK)
            _add_floats(table[part[0]], flat[0][part], flat[1][part])
    if reference.ndim >= 2 and reference.shape[-1] in _CLASSES and reference.dtype.kind == "f":
        same = (np.argmax(reference, axis=-1) == np.argmax(candidate, axis=-1)).reshape(rows, -1)
        table["tops"], table["same_top"] = same.shape[1], np.count_nonzero(same, axis=1)
    return table


def _add_floats(table: Table, reference: Array, candidate: Array) -> None:
    """Accounts for some columns of these samples."""
    wide: type[Any] = np.complex128 if reference.dtype.kind == "c" else np.float64
    reference, candidate = reference.astype(wide), candidate.astype(wide)
    finite = np.isfinite(reference), np.isfinite(candidate)
    both = finite[0] & finite[1]
    table["equal"] += np.count_nonzero((reference == candidate) | (np.isnan(reference) & np.isnan(candidate)), axis=1)
    table["nonfinite_reference"] += np.count_nonzero(~finite[0], axis=1)
    table["nonfinite_candidate"] += np.count_nonzero(~finite[1], axis=1)
    table["broken"] += np.count_nonzero(finite[0] & ~finite[1], axis=1)
    table["finite"] += np.count_nonzero(both, axis=1)
    r, c = np.where(both, reference, 0), np.where(both, candidate, 0)
    error = r - c
    for name, (left, right) in {"rr": (r, r), "cc": (c, c), "rc": (r, c), "ee": (error, error)}.items():
        table[name] += np.einsum("ij,ij->i", left.conj(), right).real
    table["largest"] = np.maximum(table["largest"], np.abs(error).max(axis=1))


def pooled(table: Table) -> dict[str, float]:
    """The columns of all samples together."""
    total = {name: float(table[name].sum()) for name in table.dtype.names or ()}
    return {**total, "largest": float(table["largest"].max(initial=0.0))}


def cosines(table: Table) -> Array:
    """[samples]; NaN where it is not defined; 1 where all is equal."""
    norms = np.sqrt(table["rr"]) * np.sqrt(table["cc"])
    cosine = np.clip(np.divide(table["rc"], norms, out=np.zeros_like(norms), where=norms > 0), -1.0, 1.0)
    defined = (table["finite"] > 1) & (_power(table, "rr") >= _quiet(table)) & (table["rr"] > 0)
    figures: Array = np.where(defined, np.where(table["equal"] == table["elements"], 1.0, cosine), np.nan)
    return figures


def sqnrs_db(table: Table) -> Array:
    """[samples]; NaN where it is not defined; infinite where nothing differs."""
    signal, error = np.maximum(_power(table, "rr"), _quiet(table)), _power(table, "ee")
    exact = (error == 0) & (table["finite"] > 0)
    defined = (signal > 0) & (error > 0) & bool(table["rr"].any())
    ratio = np.divide(signal, error, out=np.ones_like(signal), where=defined)
    figures: Array = np.where(exact, np.inf, np.where(defined, 10 * np.log10(ratio), np.nan))
    return figures


def agreements(table: Table) -> Array:
    """[samples]: share of rows with the same best class, of integers that of equal elements; NaN for fewer than two."""
    discrete = table["floats"] == 0
    many = np.where(discrete, table["elements"], table["tops"])
    same = np.where(discrete, table["equal"], table["same_top"])
    shares: Array = np.divide(same, many, out=np.full(len(table), np.nan), where=many > 1)
    return shares


def lowest(figures: Array, places: list[tuple[int, int | None]], names: tuple[str, ...]) -> AtSample | None:
    """The first of the lowest figures at its place (feed, row); None where none is defined and finite."""
    if not np.isfinite(figures).any():
        return None
    index = int(np.nanargmin(figures))
    feed, row = places[index]
    return AtSample(float(figures[index]), feed, row, names[feed] if feed < len(names) else f"feed {feed}")


def _power(table: Table, column: str) -> Array:
    """Mean square of a sample; 0 where nothing is finite."""
    power: Array = np.divide(table[column], table["finite"], out=np.zeros(len(table)), where=table["finite"] > 0)
    return power


def _quiet(table: Table) -> Array:
    """The power below which a sample is quiet; 0 for one that stands alone."""
    counted = table["finite"] > 0
    if np.count_nonzero(counted) < 2:
        return np.zeros(len(table))
    power, error = _power(table, "rr")[counted], _power(table, "ee")[counted]
    mean = table["rr"].sum() / table["finite"].sum()
    typical = np.quantile(power[power >= _FAINT * mean], 0.5, method="lower")
    chance = (_CHANCE / np.maximum(table["finite"], 1)) ** 2 * np.quantile(error, 0.5, method="lower")
    quiet: Array = np.maximum(_QUIET * typical, chance)
    return quiet
