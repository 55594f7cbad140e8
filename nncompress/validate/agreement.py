"""How close the result's outputs are to the original's: over all feeds, in float64, one pass, little memory.

With r the original's and c the result's elements where both are finite:

    cosine = sum(r c) / sqrt(sum(r^2) sum(c^2)),  SQNR = 10 log10(sum(r^2) / sum((r - c)^2)) dB,
    relative error = sqrt(sum((r - c)^2) / sum(r^2)).

Once pooled over everything, once for each sample (see samples.py).
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from nncompress.feeds.specs import Array
from nncompress.results.record import Fidelity, Samples
from nncompress.runtime.session import OutputArray
from nncompress.validate.samples import COLUMNS, Table, agreements, cosines, lowest, pooled, sqnrs_db, table_of
from nncompress.validate.structure import as_array, pairs_of


class Agreement:
    """Sums over all feeds for one output. Feed it with `add`, then read `fidelity` and `problem`."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        """`names`: of the feeds, in order."""
        self.problem: str | None = None
        self.dtype = ""
        self._names = names
        self._tables: list[Table] = [np.zeros(0, COLUMNS)]
        self._rows: list[int | None] = []  # a feed: samples, None where the whole of it is one
        self._constant = _Constant()

    def add(self, reference: OutputArray, candidate: OutputArray, batch: Collection[int] = ()) -> None:
        """Account for one output of one feed; `batch`: sizes of a first axis that make its rows samples."""
        if self.problem is not None:
            return
        pairs, self.problem = pairs_of(reference, candidate)
        if self.problem is not None:
            return
        whole = as_array(reference)
        rows = len(whole) if isinstance(whole, np.ndarray) and _has_rows(whole, batch) else 1
        table = np.zeros(rows, COLUMNS)
        for r, c in pairs:
            self.dtype = self.dtype or r.dtype.name
            part = table_of(r, c, rows)
            for name in part.dtype.names or ():
                table[name] = np.maximum(table[name], part[name]) if name == "largest" else table[name] + part[name]
        self._tables.append(table)
        self._rows.append(None if rows == 1 else rows)
        self._constant.add([r for r, _ in pairs], rows)

    @property
    def nonfinite_reference(self) -> int:
        return int(pooled(self._table())["nonfinite_reference"])

    @property
    def nonfinite_candidate(self) -> int:
        return int(pooled(self._table())["nonfinite_candidate"])

    def verdict(self) -> str | None:
        """What is wrong with the output: changed shape or type, or new values that are not finite; None: nothing."""
        broken = int(pooled(self._table())["broken"])  # finite in the original, not in the result
        if self.problem is None and broken:
            return f"{broken} values are not finite where the original's are"
        return self.problem

    def fidelity(self) -> Fidelity | None:
        """None where shapes or types forbid comparing, or nothing was there to compare."""
        table = self._table()
        total = pooled(table)
        if self.problem is not None or total["elements"] == 0:
            return None
        identical, samples = total["equal"] == total["elements"], self._samples(table)
        if total["floats"] == 0:
            share = total["equal"] / total["elements"]
            return Fidelity(None, None, None, None, share, identical, samples=samples)
        if total["finite"] == 0:
            return Fidelity(None, None, None, None, None, identical, nothing_finite=True, samples=samples)
        rows = int(total["tops"]) or None
        top1 = total["same_top"] / total["tops"] if rows else None
        if total["rr"] == 0:
            return Fidelity(None, None, None, total["largest"], top1, identical, samples=samples, top1_rows=rows)
        relative = math.sqrt(total["ee"] / total["rr"])
        sqnr = 10 * math.log10(total["rr"] / total["ee"]) if total["ee"] > 0 else None
        cosine = 1.0 if identical else _cosine(total)
        return Fidelity(cosine, sqnr, relative, total["largest"], top1, identical, samples=samples, top1_rows=rows)

    def _table(self) -> Table:
        if len(self._tables) > 1:
            self._tables = [np.concatenate(self._tables)]
        return self._tables[0]

    def _samples(self, table: Table) -> Samples:
        places = [
            (feed, None if rows is None else row) for feed, rows in enumerate(self._rows) for row in range(rows or 1)
        ]
        with np.errstate(over="ignore", invalid="ignore"):  # squares of float64 may be infinite
            figures = [lowest(of(table), places, self._names) for of in (cosines, sqnrs_db, agreements)]
        return Samples(len(table), int(table["elements"].sum()), self._constant.holds(len(table)), *figures)


class _Constant:
    """Whether an output of the original is the same in every sample, or one value throughout."""

    def __init__(self) -> None:
        self._first: list[Array] | None = None  # that all samples so far are like
        self._value: Array | None = None  # that all elements so far are
        self._started = False

    def add(self, arrays: list[Array], rows: int) -> None:
        flat = [array.reshape(rows, -1) for array in arrays if array.size]
        if not flat:
            return
        if not self._started:
            self._first, self._value, self._started = [array[:1].copy() for array in flat], flat[0][:1, :1].copy(), True
        if self._first is not None and not _all_like(flat, self._first):
            self._first = None
        if self._value is not None and not _all_like(flat, [self._value] * len(flat)):
            self._value = None

    def holds(self, samples: int) -> bool:
        return self._value is not None or (self._first is not None and samples > 1)


def _all_like(arrays: list[Array], first: list[Array]) -> bool:
    return len(arrays) == len(first) and all(
        one.shape[1] in (1, array.shape[1]) and one.dtype == array.dtype and bool(_alike(array, one).all())
        for array, one in zip(arrays, first, strict=True)
    )


def _alike(array: Array, other: Array) -> Array:
    same: Array = array == other
    return same | ((array != array) & (other != other)) if array.dtype.kind in "fc" else same


def _has_rows(reference: Array, batch: Collection[int]) -> bool:
    return reference.ndim > 0 and len(reference) in batch and reference.size > 0


def _cosine(total: dict[str, float]) -> float:
    norms = math.sqrt(total["rr"]) * math.sqrt(total["cc"])
    return max(-1.0, min(1.0, total["rc"] / norms)) if norms > 0 else 0.0
