"""Rounds the rows of a matrix so that what it computes moves least: error feedback, and descent over single codes.

    |W x - Q x^|^2 = tr(Q H Q^T) - 2 tr(Q R^T) + const,    H = E[x^ x^T],  R = W E[x x^T]

W the matrix as it was and x its input then, Q the rounded matrix and x^ its input now (Li et al., 2025, "GPTAQ"). With
H = L L^T and Y = R L^-T this is |Y - Q L|^2: rounding column by column from the last one, what each leaves goes to
those that are still free (Frantar et al., 2022, "GPTQ"; the same as Babai's nearest plane, Chen et al., 2025). Then
each code in turn takes the value that is best for the others as they are, which can only lower the sum.

Everything is batched over groups, and [groups, outputs, inputs].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nncompress.numerics.gram import Gram

DAMPING = 0.02  # of the mean of the diagonal: what few samples do not show may still come
SHRUNK = 0.1  # rows for each input that are as good as no relation between inputs at all
CROSSED = 0.5
_BLOCK = 128  # columns whose errors go on to the others in one product
_SWEEPS, _LEAST_GAIN = 6, 0.02  # of what the best sweep gained


@dataclass(frozen=True)
class Quadratic:
    """tr(Q H Q^T) - 2 tr(Q R^T), float64: `h` [groups, inputs, inputs], `r` [groups, outputs, inputs]."""

    h: np.ndarray
    r: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, gram: Gram, *, crossed: float = CROSSED) -> Quadratic:
        """For the matrix W as it was, which is to compute from its inputs now what it computed then: that share of the
        difference, `crossed`, that few samples can tell."""
        count = max(gram.count, 1)
        now = gram.own / count
        both = now if gram.cross is None else (1 - crossed) * now + crossed * (gram.cross / count)
        inputs = now.shape[1]
        keep = count / (count + SHRUNK * inputs)
        diagonal = np.arange(inputs)
        level = now[:, diagonal, diagonal].mean(axis=1, keepdims=True)
        own, exact = now[:, diagonal, diagonal], matrix.astype(np.float64)
        more = DAMPING * np.where(level > 0, level, 1.0)
        h, target = keep * now, keep * both
        h[:, diagonal, diagonal] += (1 - keep) * own + more
        target[:, diagonal, diagonal] += (1 - keep) * own + more
        return cls(h, exact @ target)

    def value(self, q: np.ndarray) -> float:
        """Of values q, without the constant."""
        return float(((q @ self.h - 2 * self.r) * q).sum())


@dataclass(frozen=True)
class Codes:
    """The values step * (code - zero) with whole codes from `smallest` to `largest`; 0 alone where they are `pruned`.
    `step` and `zero` broadcast against the matrix."""

    step: np.ndarray
    zero: np.ndarray
    smallest: int
    largest: int
    pruned: np.ndarray | None = None  # bool [groups, outputs, inputs]

    def nearest(self, values: np.ndarray, j: int) -> np.ndarray:
        """The values of column j [groups, outputs] that codes can have and that come nearest."""
        step, zero = self.step[..., j], self.zero[..., j]
        codes = np.clip(np.rint(values / step) + zero, self.smallest, self.largest)
        nearest: np.ndarray = (codes - zero) * step
        return nearest if self.pruned is None else np.where(self.pruned[..., j], 0.0, nearest)


def fed_back(quadratic: Quadratic, codes: Codes) -> np.ndarray:
    """Values rounded column by column, those first whose inputs are largest."""
    inputs = quadratic.r.shape[2]
    order = np.argsort(np.einsum("gjj->gj", quadratic.h).sum(axis=0), kind="stable")  # the last is rounded first
    lower = np.linalg.cholesky(quadratic.h[:, order[:, None], order])
    y = np.linalg.solve(lower, quadratic.r[:, :, order].transpose(0, 2, 1)).transpose(0, 2, 1)
    q = np.empty_like(y)
    for end in range(inputs, 0, -_BLOCK):
        first = max(0, end - _BLOCK)
        own = y[:, :, first:end].copy()
        within = lower[:, first:end, first:end]
        for j in range(end - first - 1, -1, -1):
            values = codes.nearest(own[:, :, j] / within[:, None, j, j], order[first + j])
            q[:, :, first + j] = values
            own[:, :, :j] -= values[:, :, None] * within[:, None, j, :j]
        y[:, :, :first] -= q[:, :, first:end] @ lower[:, first:end, :first]
    back = np.empty_like(q)
    back[:, :, order] = q
    return back


def descended(quadratic: Quadratic, q: np.ndarray, codes: Codes) -> np.ndarray:
    """The values `q` after each in turn took the best code for the others, until little is gained."""
    h, q = quadratic.h, q.copy()
    inputs = q.shape[2]
    slope = quadratic.r - q @ h  # half of what the sum falls by
    diagonal = np.einsum("gjj->gj", h)
    most = 0.0
    for _ in range(_SWEEPS):
        gained = 0.0
        for first in range(0, inputs, _BLOCK):
            end = min(inputs, first + _BLOCK)
            own, before = slope[:, :, first:end].copy(), q[:, :, first:end].copy()
            for j in range(first, end):
                old, down = q[:, :, j], own[:, :, j - first]
                new = codes.nearest(old + down / diagonal[:, None, j], j)
                moved = new - old
                gained += float((moved * (2 * down - moved * diagonal[:, None, j])).sum())
                q[:, :, j] = new
                own -= moved[:, :, None] * h[:, None, j, first:end]
            slope -= (q[:, :, first:end] - before) @ h[:, first:end, :]
        most = max(most, gained)
        if gained <= _LEAST_GAIN * most:
            break
    return q
