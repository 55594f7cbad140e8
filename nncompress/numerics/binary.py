"""Binary weights: sums of a few signs, each with a scale of its channel.

    w ~ sum_t alpha[t, channel] b[t],    b in {-1, 1}

One term is that of XNOR-Net (Rastegari et al., arXiv 1603.05279): sign(w) and the mean of |w|. More are found greedily,
each on what the ones before left, and then improved in turns (Xu et al., "Alternating multi-bit quantization",
arXiv 1802.00150): scales by least squares for the signs that there are, and for each weight the best of all sums.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nncompress.numerics.channels import channel_view, undo_view
from nncompress.numerics.held import Held, Plain, Store
from nncompress.numerics.importance import importance_view
from nncompress.numerics.sqnr import decibels

_ROUNDS = 10
_SETTLED = 1e-4  # share of the error that a round has to take away


@dataclass(frozen=True)
class Signs:
    """`bits` (uint8, [terms, *codes_shape]; 1 is a plus) and `scales` (float32, [terms, ...], broadcasting against the
    bits). `codes_shape` is `shape`, that of the weight, or another one of as many elements in the same order."""

    bits: Held
    scales: np.ndarray
    shape: tuple[int, ...]
    codes_shape: tuple[int, ...]

    @property
    def terms(self) -> int:
        return len(self.scales)

    def decode(self) -> np.ndarray:
        """The values as float32."""
        signs = self.bits.load() - np.float32(0.5)
        signs *= 2 * self.scales
        decoded: np.ndarray = signs.sum(axis=0)
        return decoded.reshape(self.shape)

    def decode_at(self, places: np.ndarray) -> np.ndarray:
        """The values at row-major positions `places`."""
        index = np.unravel_index(places, self.codes_shape)
        scales = np.stack([np.broadcast_to(term, self.codes_shape)[index] for term in self.scales])
        signs = np.stack([plane[index] for plane in self.bits.load()]) - np.float32(0.5)
        decoded: np.ndarray = (signs * (2 * scales)).sum(axis=0)
        return decoded

    def arrays(self) -> Mapping[str, Held]:
        """The bits and the scales."""
        return {"bits": self.bits, "scales": Plain(self.scales)}


@dataclass(frozen=True)
class Binarized:
    """What was made of a weight, and how well: sums of squares in float64."""

    signs: Signs
    signal: float  # sum of w^2
    noise: float  # sum of (w - decoded)^2

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where nothing was lost."""
        return decibels(self.signal, self.noise)


def binarized(
    weight: np.ndarray, channel_axes: tuple[int, ...], *, terms: int, store: Store,
    importance: np.ndarray | None = None,
) -> Binarized:  # fmt: skip
    """`weight` (finite floats) as the sum of `terms` signs, with scales for each index along `channel_axes`.
    `importance`: how often the squared error of each value counts, broadcasting against it."""
    flat, kept_shape = channel_view(weight, channel_axes)
    counts = None if importance is None else importance_view(importance, weight.shape, channel_axes)
    bits, scales = _greedy(flat, terms, counts)
    error = _error(flat, bits, scales, counts)
    for _ in range(_ROUNDS if terms > 1 else 0):
        fitted = _fitted(flat, bits, scales, counts)
        nearest = _nearest(flat, fitted)
        new = _error(flat, nearest, fitted, counts)
        if new >= error:
            break
        settled = new > (1 - _SETTLED) * error
        bits, scales, error = nearest, fitted, new
        if settled:
            break
    scales = _as_half(scales)
    laid_out = np.stack([undo_view(plane, weight.shape, channel_axes) for plane in bits])
    shape = kept_shape if channel_axes else (1,) * weight.ndim
    signs = Signs(store.hold(laid_out), scales.reshape(terms, *shape), weight.shape, weight.shape)
    signal = float(np.square(flat, dtype=np.float64).sum())
    return Binarized(signs, signal, _error(flat, bits, scales, None))


def _greedy(flat: np.ndarray, terms: int, counts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [terms, *flat.shape] and float64 [terms, channels]: each term is the best for what is left."""
    left = flat.astype(np.float32)
    each = np.ones((1, 1, 1), np.float32) if counts is None else counts
    mass = np.broadcast_to(each, flat.shape).sum(axis=(0, 2), dtype=np.float64)
    bits, scales = np.empty((terms, *flat.shape), np.uint8), np.empty((terms, flat.shape[1]))
    for term in range(terms):
        bits[term] = left >= 0
        scales[term] = (np.abs(left) * each).sum(axis=(0, 2), dtype=np.float64) / np.where(mass > 0, mass, 1)
        alpha = scales[term].astype(np.float32)[:, None]
        left = left - np.where(bits[term], alpha, -alpha)
    return bits, scales


def _fitted(flat: np.ndarray, bits: np.ndarray, scales: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    """Least squares for these signs, in each channel; scales are kept where the signs do not tell them apart."""
    terms = len(bits)
    each = np.float32(1) if counts is None else np.broadcast_to(counts, flat.shape)
    signs = [np.where(plane, np.float32(1), np.float32(-1)) for plane in bits]
    gram, right = np.empty((flat.shape[1], terms, terms)), np.empty((flat.shape[1], terms))
    for i, j in itertools.combinations_with_replacement(range(terms), 2):
        gram[:, i, j] = gram[:, j, i] = (signs[i] * signs[j] * each).sum(axis=(0, 2), dtype=np.float64)
    for i in range(terms):
        right[:, i] = (signs[i] * each * flat).sum(axis=(0, 2), dtype=np.float64)
    clear = np.linalg.cond(gram) < 1e6
    solved = scales.copy()
    if clear.any():
        solved[:, clear] = np.linalg.solve(gram[clear], right[clear][..., None])[..., 0].T
    return solved


def _nearest(flat: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The signs of the nearest of all sums of +-scales, for each weight."""
    best = np.full(flat.shape, np.inf, np.float32)
    which = np.zeros(flat.shape, np.uint8)
    for number, pattern in enumerate(itertools.product((-1, 1), repeat=len(scales))):
        total = (np.array(pattern) @ scales).astype(np.float32)[:, None]
        distance = np.abs(flat - total)
        closer = distance < best
        which[closer] = number
        np.copyto(best, distance, where=closer)
    shifts = range(len(scales) - 1, -1, -1)  # the first term is the highest bit of the number
    return np.stack([(which >> shift) & 1 for shift in shifts])


def _error(flat: np.ndarray, bits: np.ndarray, scales: np.ndarray, counts: np.ndarray | None) -> float:
    left = flat.astype(np.float32)
    for plane, alpha in zip(bits, scales.astype(np.float32), strict=True):
        left = left - np.where(plane, alpha[:, None], -alpha[:, None])
    squares = np.square(left, dtype=np.float64)
    return float(squares.sum() if counts is None else (squares * counts).sum())


def _as_half(scales: np.ndarray) -> np.ndarray:
    """As float16 has them, where that reaches: they are stored in half the bytes then."""
    sizes = np.abs(scales[scales != 0])
    reaches = sizes.min(initial=1) >= 2.0**-14 and sizes.max(initial=1) <= 65504.0
    return scales.astype(np.float16).astype(np.float32) if reaches else scales.astype(np.float32)
