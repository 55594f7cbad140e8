"""Sums of two products that saturate in 16 bits: how x86 processors without VNNI multiply uint8 by int8.

    sum_i s(x[2i] w[2i] + x[2i+1] w[2i+1]),    s(t) = min(max(t, -2^15), 2^15 - 1)

VPMADDUBSW makes the terms, of neighbours in the order in which a kernel sums; an odd last one has 0 beside it. They are
added in 32 bits. For x of 0 to 255 the largest term is 255 |w + w'| where w and w' have the same sign, and fits where
they have not: a term saturates for some x if, and only if, |w + w'| > 128.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nncompress.numerics.affine import Quantized, sum_of_squares
from nncompress.numerics.held import Store

_LARGEST_SUM = 128  # 255 * 128 is 32640, and 255 * 129 is 32895
_LARGER = (2**0.25, 2**0.5, 2**0.75, 127 / 64)  # scales; with the last no code is beyond 64
_LOW, _HIGH = -(2**15), 2**15 - 1


def saturating_product(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """int32 [n, m], x (uint8) [n, k] times w (int8) [k, m] as such a processor has it."""
    left, right = x.astype(np.int32), w.astype(np.int32)
    total = np.zeros((len(x), w.shape[1]), np.int32)
    for first in range(0, w.shape[0], 2):
        terms = left[:, first : first + 2] @ right[first : first + 2]
        total += np.clip(terms, _LOW, _HIGH)
    return total


def can_saturate(codes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """bool [..., pairs], True for each pair of neighbours along `axes` (int8 codes, summed in that order; the last of
    `axes` runs fastest) whose term saturates for some x."""
    return _excess(_pairs(_rows(codes, axes))) > 0


def safe_codes(codes: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """The codes with each pair that can saturate moved to where it cannot, and how many those are.

    Both move towards 0 by half of what is too much, the larger one by the odd step: by the least sum of squares. No
    other pair can saturate after that: magnitudes only become smaller.
    """
    rows = _rows(codes, axes)
    pairs = _pairs(rows)
    excess = _excess(pairs)
    places = np.nonzero(excess > 0)
    if not len(places[0]):
        return codes, 0
    found, too_much = pairs[places].astype(np.int16), excess[places]
    sizes = np.abs(found)
    share = np.stack([too_much // 2, too_much // 2], axis=-1)
    share[np.arange(len(share)), sizes.argmax(axis=-1)] += too_much % 2
    safe = pairs.copy()
    safe[places] = np.sign(found) * (sizes - share)
    whole = np.concatenate([safe.reshape(*rows.shape[:-1], -1), rows[..., rows.shape[-1] // 2 * 2 :]], axis=-1)
    return _undo_rows(whole, codes.shape, axes), len(too_much)


@dataclass(frozen=True)
class KeptApart:
    """What it took that no sum saturates; or what was left as it is."""

    pairs: int = 0  # of codes that were moved
    scales: int = 0  # that were made larger
    left: int = 0  # pairs that can saturate still


def pairs_left(codes: np.ndarray, orders: Sequence[tuple[int, ...]]) -> KeptApart:
    """Those of all orders in which products with the codes (int8) are summed, where nothing is done about them."""
    return KeptApart(left=sum(int(np.count_nonzero(can_saturate(codes, axes))) for axes in orders))


def without_saturation(
    weight: np.ndarray, made: Quantized, orders: Sequence[tuple[int, ...]], store: Store,
    importance: np.ndarray | None = None,
) -> tuple[Quantized, KeptApart]:  # fmt: skip
    """`made` of `weight` with safe codes in each of the orders in which its products are summed.

    A channel in which pairs have to move gets that scale of a few, up to the one at which no pair can saturate, with
    which its squared error is least. All others stay as they are. `importance`: as in `quantize`.
    """
    affine, codes = made.affine, made.affine.codes.load()
    scale, summed = affine.scale, tuple(axis for axis, d in enumerate(affine.scale.shape) if d == 1)
    zero = np.zeros(1, np.int32) if affine.zero_point is None else affine.zero_point
    counts = np.ones(1, np.float32) if importance is None else importance

    def error(codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            errors = weight - (codes - zero).astype(weight.dtype) * scale
            return np.asarray((np.square(errors) * counts).sum(axis=summed, keepdims=True, dtype=np.float64))

    safe, moved = _safe(codes, orders)
    if not moved.any():
        return made, KeptApart()
    touched = moved.any(axis=summed, keepdims=True)
    least = error(safe, scale)
    for factor in _LARGER if affine.zero_point is None else ():
        larger = affine.scale * np.float32(factor)
        tried, apart = _safe(np.clip(np.rint(weight / larger), -127, 127).astype(np.int8), orders)
        new = error(tried, larger)
        better = touched & (new < least)
        least, scale = np.where(better, new, least), np.where(better, larger, scale)
        safe, moved = np.where(better, tried, safe), np.where(better, apart, moved)
    kept = replace(affine, codes=store.hold(safe), scale=scale, nonzeros=int(np.count_nonzero(safe != zero)))
    noise = sum_of_squares(weight - kept.decode().reshape(weight.shape).astype(weight.dtype, copy=False))
    weighted = noise if importance is None else float(least.sum())
    pairs, scales = int(np.count_nonzero(moved)), int(np.count_nonzero(scale != affine.scale))
    return Quantized(kept, made.symmetric, made.signal, noise, weighted), KeptApart(pairs, scales)


def _safe(codes: np.ndarray, orders: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Safe codes in each order, and where there are pairs that were moved: True at one code of each."""
    safe, moved = codes, np.zeros(codes.shape, bool)
    for axes in orders:
        first = np.zeros_like(_rows(safe, axes), bool)
        offending = can_saturate(safe, axes)
        first[..., 0 : 2 * offending.shape[-1] : 2] = offending
        moved |= _undo_rows(first, codes.shape, axes)
        safe, _ = safe_codes(safe, axes)
    return safe, moved


def _rows(codes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """[..., k]: what is summed along the last axis."""
    moved = np.moveaxis(codes, axes, range(-len(axes), 0))
    return np.reshape(moved, (*moved.shape[: -len(axes)], math.prod(moved.shape[-len(axes) :])))


def _undo_rows(rows: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    split = rows.reshape(*rows.shape[:-1], *(shape[axis] for axis in axes))
    return np.ascontiguousarray(np.moveaxis(split, range(-len(axes), 0), axes))


def _pairs(rows: np.ndarray) -> np.ndarray:
    """[..., pairs, 2] without an odd last one."""
    whole = rows.shape[-1] // 2 * 2
    return rows[..., :whole].reshape(*rows.shape[:-1], whole // 2, 2)


def _excess(pairs: np.ndarray) -> np.ndarray:
    """int16: by how much the sum of each pair is too large."""
    sums: np.ndarray = pairs[..., 0].astype(np.int16) + pairs[..., 1]
    return np.asarray(np.abs(sums) - np.int16(_LARGEST_SUM))
