"""Rounds the rows of a matrix so that what it computes moves least: error feedback, and descent over single codes.

    |W x - Q x^|^2 = tr(Q H Q^T) - 2 tr(Q R^T) + const,    H = E[x^ x^T],  R = W E[x x^T]

W the matrix as it was and x its input then, Q the rounded matrix and x^ its input now (Li et al., 2025, "GPTAQ"). With
H = L L^T and Y = R L^-T this is |Y - Q L|^2: rounding column by column from the last one, what each leaves goes to
those that are still free (Frantar et al., 2022, "GPTQ"; the same as Babai's nearest plane, Chen et al., 2025). Then
each code in turn takes the value that is best for the others as they are, which can only lower the sum.

Everything is batched over groups, and [groups, outputs, inputs]; inside, matrices are turned, as columns are gone
through one by one. No output has to do with another: they are cut into chunks, whose size does not depend on the number
of threads, and so no digit does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from nncompress.numerics.definite import cholesky
from nncompress.numerics.gram import Gram
from nncompress.numerics.threads import in_threads

DAMPING = 0.02  # of the mean of the diagonal: what few samples do not show may still come
SHRUNK = 0.1  # rows for each input that are as good as no relation between inputs at all
CROSSED = 0.5
_BLOCK = 64  # columns whose errors go on to the others in one product
_CHUNK = 512  # outputs that a thread works on at a time
_SWEEPS, _LEAST_GAIN = 3, 0.2  # of what the best sweep gained: later ones gain a hundredth of the first


@dataclass(frozen=True)
class Quadratic:
    """tr(Q H Q^T) - 2 tr(Q R^T), float64: `h` [groups, inputs, inputs], `r` [groups, outputs, inputs]."""

    h: np.ndarray
    r: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, gram: Gram, *, crossed: float = CROSSED, damping: float = DAMPING) -> Quadratic:
        """For the matrix W as it was, which is to compute from its inputs now what it computed then: that share of the
        difference, `crossed`, that few samples can tell. `damping`: of the mean of the diagonal."""
        count = max(gram.count, 1)
        inputs = gram.own.shape[1]
        keep = count / (count + SHRUNK * inputs)
        diagonal = np.arange(inputs)
        own, exact = gram.own[:, diagonal, diagonal] / count, matrix.astype(np.float64)
        level = own.mean(axis=1, keepdims=True)
        more = (1 - keep) * own + damping * np.where(level > 0, level, 1.0)
        h = gram.own * (keep / count)
        h[:, diagonal, diagonal] += more
        if gram.cross is None:
            return cls(h, exact @ h)
        target = gram.cross * (crossed * keep / count)
        target += (1 - crossed) * h
        target[:, diagonal, diagonal] += crossed * more
        return cls(h, exact @ target)

    def value(self, q: np.ndarray) -> float:
        """Of values q, without the constant."""
        return float(self.more(q, np.zeros_like(q)).sum())

    def more(self, q: np.ndarray, other: np.ndarray) -> np.ndarray:
        """By how much each output of q has more than that of other values, [groups, outputs]."""
        moved = q - other
        shares: np.ndarray = (moved @ self.h * (q + other) - 2 * moved * self.r).sum(axis=2)
        return shares


class Levels(Protocol):
    """The values that each element of a matrix may have."""

    def nearest(self, values: np.ndarray, j: int) -> np.ndarray:
        """Of those of column j, the ones that come nearest to `values` [groups, outputs]."""
        ...

    def part(self, outputs: slice) -> Levels:
        """Those of some outputs, in float32."""
        ...


@dataclass(frozen=True)
class Codes:
    """The values step * (code - zero) with whole codes from `smallest` to `largest`. `step` and `zero` are as large as
    the matrix turned."""

    step: np.ndarray
    zero: np.ndarray
    smallest: int
    largest: int

    def nearest(self, values: np.ndarray, j: int) -> np.ndarray:
        """See Levels."""
        step, zero = self.step[:, j], self.zero[:, j]
        codes = np.rint(values / step)
        codes += zero
        np.minimum(np.maximum(codes, self.smallest, out=codes), self.largest, out=codes)
        codes -= zero
        nearest: np.ndarray = codes * step
        return nearest

    def part(self, outputs: slice) -> Codes:
        """See Levels."""
        return replace(self, step=_part(self.step, outputs), zero=_part(self.zero, outputs))


@dataclass(frozen=True)
class Table:
    """The values of a table [k], ascending, times `step`, which is as large as the matrix turned."""

    values: np.ndarray
    step: np.ndarray

    def nearest(self, values: np.ndarray, j: int) -> np.ndarray:
        """See Levels."""
        step = self.step[:, j]
        nearest: np.ndarray = self.values[self.places(values / step)] * step
        return nearest

    def places(self, ratios: np.ndarray) -> np.ndarray:
        """Where in the table the nearest to each of `ratios` stands."""
        return np.searchsorted((self.values[1:] + self.values[:-1]) / 2, ratios)

    def part(self, outputs: slice) -> Table:
        """See Levels."""
        return Table(self.values.astype(np.float32), _part(self.step, outputs))


@dataclass(frozen=True)
class Pinned:
    """Other levels, but where a matrix is `zero`, turned, nothing but 0: what was pruned stays so."""

    levels: Levels
    zero: np.ndarray

    def nearest(self, values: np.ndarray, j: int) -> np.ndarray:
        """See Levels."""
        return np.where(self.zero[:, j], np.float32(0), self.levels.nearest(values, j))

    def part(self, outputs: slice) -> Pinned:
        """See Levels."""
        return Pinned(self.levels.part(outputs), self.zero[:, :, outputs])


def _part(turned: np.ndarray, outputs: slice) -> np.ndarray:
    return np.ascontiguousarray(turned[:, :, outputs], dtype=np.float32)


def rounded(
    quadratic: Quadratic, levels: Levels, start: np.ndarray, threads: int = 1, factor: Factor | None = None
) -> np.ndarray:
    """The values [groups, outputs, inputs] that leave least, as far as is found: of no output more than `start`.
    `factor`: that of H in float32, if it is known."""
    factor, h = factor or Factor.of(quadratic.h, np.float32), quadratic.h.astype(np.float32)

    def of_chunk(outputs: slice) -> np.ndarray:
        own, first = Quadratic(quadratic.h, quadratic.r[:, outputs]), start[:, outputs]
        part = levels.part(outputs)
        made = descended(h, own.r, fed_back(factor, own.r, part), part).astype(np.float64)
        better = own.more(made, first) < 0
        return np.where(better[:, :, None], made, first)

    chunks = [slice(place, place + _CHUNK) for place in range(0, start.shape[1], _CHUNK)]
    return np.concatenate(in_threads(of_chunk, chunks, threads), axis=1)


@dataclass(frozen=True)
class Factor:
    """H = L L^T, inputs in the order in which they are rounded, backwards: those last whose products are largest."""

    order: np.ndarray
    lower: np.ndarray

    @classmethod
    def of(cls, h: np.ndarray, dtype: type[np.floating]) -> Factor:
        """That of H, computed in `dtype`: damped, H is far from singular."""
        order = np.argsort(np.einsum("gjj->gj", h).sum(axis=0), kind="stable")
        return cls(order, cholesky(h.astype(dtype, copy=False)[:, order[:, None], order]))

    def solved(self, right: np.ndarray) -> np.ndarray:
        """L^-1 right, row block by row block: a general solver would factorise L once more."""
        solution = np.empty_like(right)
        for first in range(0, right.shape[1], _BLOCK):
            own = slice(first, first + _BLOCK)
            rest = right[:, own] - self.lower[:, own, :first] @ solution[:, :first]
            solution[:, own] = np.linalg.solve(self.lower[:, own, own], rest)
        return solution


def fed_back(factor: Factor, r: np.ndarray, levels: Levels) -> np.ndarray:
    """Values rounded column by column, those first whose inputs are largest; of the type of the factor."""
    order, lower = factor.order, factor.lower
    y = factor.solved(_turned(r)[:, order].astype(lower.dtype, copy=False))
    q = np.empty_like(y)
    for end in range(len(order), 0, -_BLOCK):
        first = max(0, end - _BLOCK)
        own, within = y[:, first:end], lower[:, first:end, first:end].copy()
        for j in range(end - first - 1, -1, -1):
            values = levels.nearest(own[:, j] / within[:, j, j, None], order[first + j])
            q[:, order[first + j]] = values
            own[:, :j] -= within[:, j, :j, None] * values[:, None]
        y[:, :first] -= lower[:, first:end, :first].transpose(0, 2, 1) @ q[:, order[first:end]]
    return _turned(q)


def descended(h: np.ndarray, r: np.ndarray, q: np.ndarray, levels: Levels) -> np.ndarray:
    """The values `q` after each in turn took what is best for the others, until little is gained; of the type of h."""
    q, right = (_turned(matrix.astype(h.dtype, copy=False)) for matrix in (q, r))
    slope = right - h @ q  # half of what the sum falls by
    diagonal = np.einsum("gjj->gj", h)[:, :, None]
    most = 0.0
    for _ in range(_SWEEPS):
        gained = 0.0
        for first in range(0, q.shape[1], _BLOCK):
            block = slice(first, first + _BLOCK)
            own, before, within = slope[:, block].copy(), q[:, block].copy(), h[:, block, block].copy()
            for j in range(own.shape[1]):
                old, down, weight = q[:, first + j], own[:, j].copy(), diagonal[:, first + j]
                moved = levels.nearest(old + down / weight, first + j) - old
                gained += float((moved * (2 * down - moved * weight)).sum())
                old += moved
                own -= within[:, j, :, None] * moved[:, None]
            slope -= h[:, :, block] @ (q[:, block] - before)
        most = max(most, gained)
        if gained <= _LEAST_GAIN * most:
            break
    return _turned(q)


def _turned(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix.transpose(0, 2, 1))
