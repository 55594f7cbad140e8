"""Sums of two products that saturate in 16 bits: how x86 processors without VNNI multiply uint8 by int8.

    sum_i s(x[2i] w[2i] + x[2i+1] w[2i+1]),    s(t) = min(max(t, -2^15), 2^15 - 1)

VPMADDUBSW makes the terms, of neighbours in the order in which a kernel sums; an odd last one has 0 beside it. They are
added in 32 bits. For x of 0 to 255 the largest term is 255 |w + w'| where w and w' have the same sign, and fits where
they have not: a term saturates for some x if, and only if, |w + w'| > 128.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nncompress.numerics.affine import Quantized, sum_of_squares
from nncompress.numerics.held import Store
from nncompress.numerics.importance import weighted_sum

_LARGEST_SUM = 128  # 255 * 128 is 32640, and 255 * 129 is 32895
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


def without_saturation(
    weight: np.ndarray, made: Quantized, orders: tuple[tuple[int, ...], ...], store: Store,
    importance: np.ndarray | None = None,
) -> tuple[Quantized, int]:  # fmt: skip
    """`made` of `weight` with safe codes in each of the orders in which its products are summed, and how many pairs
    were moved. `importance`: as in `quantize`."""
    affine, moved = made.affine, 0
    codes = affine.codes.load()
    for axes in orders:
        codes, more = safe_codes(codes, axes)
        moved += more
    if not moved:
        return made, 0
    zeros = 0 if affine.zero_point is None else affine.zero_point
    safe = replace(affine, codes=store.hold(codes), nonzeros=int(np.count_nonzero(codes != zeros)))
    errors = weight - safe.decode().reshape(weight.shape).astype(weight.dtype, copy=False)
    noise = sum_of_squares(errors)
    weighted = noise if importance is None else weighted_sum(errors, importance)
    return Quantized(safe, made.symmetric, made.signal, noise, weighted), moved


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
