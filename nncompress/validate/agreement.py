"""How close the result's outputs are to the original's: pooled over all feeds, in float64, one pass, little memory.

With r the original's and c the result's elements where both are finite:

    cosine = sum(r c) / sqrt(sum(r^2) sum(c^2)),  SQNR = 10 log10(sum(r^2) / sum((r - c)^2)) dB,
    relative error = sqrt(sum((r - c)^2) / sum(r^2)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nncompress.feeds.specs import Array
from nncompress.results.record import Fidelity
from nncompress.runtime.session import OutputArray
from nncompress.validate.structure import pairs_of

_CHUNK = 1 << 20  # elements converted to float64 at a time
_CLASSES = range(2, 100_001)  # lengths of a last axis that may be classes


class Agreement:
    """Sums over all feeds for one output. Feed it with `add`, then read `fidelity` and `problem`."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.dtype = ""
        self.nonfinite_reference = 0
        self.nonfinite_candidate = 0
        self._broken = 0  # finite in the original, not in the result
        self._sum_rr = self._sum_cc = self._sum_rc = self._sum_ee = self._largest = 0.0
        self._floats = self._finite = self._elements = self._equal = 0
        self._rows = self._same_top = 0

    def add(self, reference: OutputArray, candidate: OutputArray) -> None:
        """Account for one output of one feed."""
        if self.problem is not None:
            return
        pairs, self.problem = pairs_of(reference, candidate)
        for r, c in pairs:
            self.dtype = self.dtype or r.dtype.name
            if r.dtype.kind in "fc":
                self._add_floats(r, c)
            else:
                self._elements += r.size
                self._equal += int(np.count_nonzero(r == c))

    def verdict(self) -> str | None:
        """What is wrong with the output: changed shape or type, or new values that are not finite; None: nothing."""
        if self.problem is None and self._broken:
            return f"{self._broken} values are not finite where the original's are"
        return self.problem

    def fidelity(self) -> Fidelity | None:
        """None where shapes or types forbid comparing, or nothing was there to compare."""
        if self.problem is not None or self._elements == 0:
            return None
        identical = self._equal == self._elements
        if self._floats == 0:
            return Fidelity(None, None, None, None, self._equal / self._elements, identical)
        if self._finite == 0:
            return Fidelity(None, None, None, None, None, identical, nothing_finite=True)
        top1 = self._same_top / self._rows if self._rows else None
        if self._sum_rr == 0:
            return Fidelity(None, None, None, self._largest, top1, identical)
        relative = math.sqrt(self._sum_ee / self._sum_rr)
        sqnr = 10 * math.log10(self._sum_rr / self._sum_ee) if self._sum_ee > 0 else None
        return Fidelity(self._cosine(identical), sqnr, relative, self._largest, top1, identical)

    def _cosine(self, identical: bool) -> float:
        norms = math.sqrt(self._sum_rr) * math.sqrt(self._sum_cc)
        if identical:
            return 1.0
        return max(-1.0, min(1.0, self._sum_rc / norms)) if norms > 0 else 0.0

    def _add_floats(self, reference: Array, candidate: Array) -> None:
        self._floats += reference.size
        self._elements += reference.size
        for r, c in _chunks(reference, candidate):
            self._add_chunk(r, c)
        if reference.ndim >= 2 and reference.shape[-1] in _CLASSES and reference.dtype.kind == "f":
            same = np.argmax(reference, axis=-1) == np.argmax(candidate, axis=-1)
            self._rows += same.size
            self._same_top += int(np.count_nonzero(same))

    def _add_chunk(self, reference: Array, candidate: Array) -> None:
        finite_reference, finite_candidate = np.isfinite(reference), np.isfinite(candidate)
        self._equal += int(np.count_nonzero((reference == candidate) | (np.isnan(reference) & np.isnan(candidate))))
        both = finite_reference & finite_candidate
        self.nonfinite_reference += reference.size - int(np.count_nonzero(finite_reference))
        self.nonfinite_candidate += candidate.size - int(np.count_nonzero(finite_candidate))
        self._broken += int(np.count_nonzero(finite_reference & ~finite_candidate))
        r, c = reference[both], candidate[both]
        if r.size == 0:
            return
        self._finite += r.size
        error = r - c
        self._sum_rr += float(np.vdot(r, r).real)
        self._sum_cc += float(np.vdot(c, c).real)
        self._sum_rc += float(np.vdot(r, c).real)
        self._sum_ee += float(np.vdot(error, error).real)
        self._largest = max(self._largest, float(np.abs(error).max()))


def _chunks(reference: Array, candidate: Array) -> Iterator[tuple[Array, Array]]:
    wide: type[Any] = np.complex128 if reference.dtype.kind == "c" else np.float64
    flat, other = reference.reshape(-1), candidate.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        yield flat[part].astype(wide), other[part].astype(wide)
