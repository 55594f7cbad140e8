"""Which values of a matrix become zero, and what the others become, so that what it computes moves least.

    |W x - Z x^|^2 = tr(Z H Z^T) - 2 tr(Z R^T) + const      H, R as in second_order.py

The surgeon's saliency w_j^2 / [H^-1]_jj (Hassibi and Stork, 1992, "Optimal brain surgeon") is what one zero costs where
all others make up for it, and knows nothing of the next zero. So zeros come in steps, and between them the others make
up for those that are there, by alternating directions (Boza, 2024, "Fast and effective weight update for pruned large
language models"):

    X = (H + rho I)^-1 (R + rho (Z - U))      Z = mask(X + U)      U += X - Z

with inputs scaled so that H_jj = 1: magnitudes are those of Wanda, |w_j| sqrt(H_jj) (Sun et al., 2023). What stays is
last fitted to its mask by conjugate gradients, which only ever lower the sum.

Everything is batched over groups, and [groups, outputs, inputs].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.definite import inverse
from nncompress.numerics.magnitude import largest, of_every
from nncompress.numerics.second_order import Quadratic
from nncompress.numerics.threads import in_threads

_RHO = 1.0  # of the diagonal of H
_GROWING, _FIXED = 15, 5  # steps in which zeros come, and in which they stay where they are
_FITTING, _LITTLE = 30, 1e-4  # most steps of conjugate gradients; they end at so much of the first slope squared
_CHUNK = 256  # outputs that a thread works on at a time

Mask = Callable[[np.ndarray, float], np.ndarray]
"""Where values with these scores [groups, outputs, inputs] stay (bool), that share of the zeros having come."""


def smallest_of_all(drop: int) -> Mask:
    """So many zeros, wherever scores are smallest."""
    return lambda scores, share: largest(scores, round(share * drop))


def smallest_of_parts(drops: Sequence[int]) -> Mask:
    """Of each of as many parts of the outputs, all of one size, so many zeros of its own."""

    def mask(scores: np.ndarray, share: float) -> np.ndarray:
        parts = np.split(scores, len(drops), axis=1)
        return np.concatenate([largest(part, round(share * d)) for part, d in zip(parts, drops, strict=True)], axis=1)

    return mask


def smallest_of_each_output(drop: int) -> Mask:
    """So many zeros, in every output as many, or one more where the next score is smallest."""

    def mask(scores: np.ndarray, share: float) -> np.ndarray:
        ranks = np.argsort(np.argsort(scores, axis=2, kind="stable"), axis=2)
        most = max(float(scores.max()), np.finfo(np.float64).tiny)
        return largest(ranks + scores / (2 * most), round(share * drop))

    return mask


def smallest_of_runs(columns: np.ndarray, most: int, length: int) -> Mask:
    """All but `most` of every `length` inputs in a row, for inputs in rows of their own: numbers [rows, inputs]."""

    def mask(scores: np.ndarray, share: float) -> np.ndarray:
        stays = np.empty(scores.shape, bool)
        stays[:, :, columns] = of_every(scores[:, :, columns], most, length)
        going = round(share * int(np.count_nonzero(~stays)))
        return largest(np.where(stays, np.inf, scores), going)

    return mask


def scored(matrix: np.ndarray, scale: np.ndarray, mask: Mask) -> np.ndarray:
    """The values with zeros where |w_j| times the scale of its input is small."""
    return np.where(mask(np.abs(matrix) * scale, 1.0), matrix, 0.0)


def by_input(quadratic: Quadratic) -> np.ndarray:
    """sqrt(H_jj), as in Wanda, [groups, 1, inputs]."""
    scale: np.ndarray = np.sqrt(np.einsum("gjj->gj", quadratic.h))[:, None]
    return scale


def by_entropy(quadratic: Quadratic) -> np.ndarray:
    """sqrt(-y_j log(y_j / sum y)), y = H_jj: what an input adds to the entropy of how power is shared out among all,
    [groups, 1, inputs]. It grows with y_j as long as that is less than 1 / e of the sum, so that up to there the order
    of inputs is that of `by_input`, with less between large and small ones."""
    y = np.einsum("gjj->gj", quadratic.h)[:, None]
    scale: np.ndarray = np.sqrt(np.maximum(-y * np.log(y / y.sum(axis=2, keepdims=True)), 0))
    return scale


@dataclass(frozen=True)
class _Scaled:
    """`scale` sqrt(H_jj) [groups, 1, inputs], and `solving` (H + rho I)^-1 of the scaled H."""

    scale: np.ndarray
    solving: np.ndarray

    @classmethod
    def of(cls, quadratic: Quadratic) -> _Scaled:
        """Those of H."""
        scale = by_input(quadratic)
        h = (quadratic.h / (scale * scale.transpose(0, 2, 1))).astype(np.float32)  # to choose the mask, it will do
        inputs = np.arange(h.shape[1])
        h[:, inputs, inputs] += _RHO
        return cls(scale, inverse(h))


def pruned(quadratic: Quadratic, matrix: np.ndarray, mask: Mask, threads: int = 1) -> np.ndarray:
    """Other values, float32, with as many zeros, which come in steps, from `matrix`."""
    scaled = _Scaled.of(quadratic)
    scale, light = scaled.scale, Quadratic(quadratic.h.astype(np.float32), quadratic.r.astype(np.float32))
    r, x = (quadratic.r / scale).astype(np.float32), (matrix * scale).astype(np.float32)
    z, u, stays = np.empty_like(x), np.zeros_like(x), np.ones(x.shape, bool)

    def go_on(own: slice) -> None:
        z[:, own] = np.where(stays[:, own], x[:, own] + u[:, own], 0)
        u[:, own] += x[:, own] - z[:, own]
        x[:, own] = (r[:, own] + _RHO * (z[:, own] - u[:, own])) @ scaled.solving

    def settle(own: slice) -> np.ndarray:
        start = (z[:, own] / scale).astype(np.float32)
        return fitted(Quadratic(light.h, light.r[:, own]), start, stays[:, own])

    chunks = [slice(place, place + _CHUNK) for place in range(0, x.shape[1], _CHUNK)]
    for step in range(1, _GROWING + _FIXED + 1):
        if step <= _GROWING:
            stays[...] = mask(np.abs(x + u), 1 - (1 - step / _GROWING) ** 3)
        in_threads(go_on, chunks, threads)
    return np.concatenate(in_threads(settle, chunks, threads), axis=1)


def fitted(quadratic: Quadratic, start: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """The best values with zeros wherever nothing `stays`, from those that `start` has there: never worse than it."""
    h, z = quadratic.h, np.where(stays, start, 0.0)
    once = np.where(stays, 1 / np.einsum("gjj->gj", h)[:, None], 0.0)  # the preconditioner
    slope = np.where(stays, quadratic.r - z @ h, 0.0)
    direction = slope * once
    power = (slope * direction).sum(axis=2, keepdims=True)
    least = _LITTLE * power.sum()
    for _ in range(_FITTING):
        if power.sum() <= least:
            break
        moved = direction @ h
        step = _quotient(power, (direction * moved).sum(axis=2, keepdims=True))
        z += step * direction
        slope = np.where(stays, slope - step * moved, 0.0)
        ahead = slope * once
        before, power = power, (slope * ahead).sum(axis=2, keepdims=True)
        direction = ahead + direction * _quotient(power, before)
    return z


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """0 where nothing is left to divide by."""
    quotient: np.ndarray = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return quotient
