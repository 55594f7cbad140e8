"""The best approximation of a matrix by two thinner ones (Eckart and Young, 1936).

    W [m, n]  ~  A [m, r] B [r, n],   A = U_r S_r^(1/2),  B = S_r^(-1/2) U_r^T W

with U and S^2 the eigenvectors and eigenvalues of W W^T (or, for the smaller problem, of W^T W, transposed). The
singular values are split evenly between the factors, so that both quantize well. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nncompress.numerics.sqnr import decibels

_NULL = 1e-14  # of the largest squared singular value: what is below is rounding noise
_COLUMNS = 4096  # of W that are converted to float64 at a time


@dataclass(frozen=True)
class Spectrum:
    """Squared singular values of a matrix, largest first, and the vectors of its shorter side."""

    squared: np.ndarray  # [min(m, n)]
    vectors: np.ndarray  # [short side, min(m, n)], columns
    shape: tuple[int, int]

    @property
    def energy(self) -> float:
        """Sum of all squared singular values, which is the squared Frobenius norm."""
        return float(self.squared.sum())

    def rank_for_energy(self, share: float) -> int:
        """The least rank that keeps `share` of the energy."""
        kept = np.cumsum(self.squared)
        return min(len(kept), int(np.searchsorted(kept, share * kept[-1])) + 1)

    def sqnr_db(self, rank: int) -> float | None:
        """10 log10(energy / what rank `rank` drops); None where nothing is dropped."""
        dropped = float(self.squared[rank:].sum())
        return decibels(self.energy, dropped)


def spectrum(matrix: np.ndarray) -> Spectrum:
    """Of a finite matrix [m, n]."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = np.zeros((wide.shape[0], wide.shape[0]))
    for start in range(0, wide.shape[1], _COLUMNS):
        block = wide[:, start : start + _COLUMNS].astype(np.float64)
        gram += block @ block.T
    squared, vectors = np.linalg.eigh(gram)
    rows, columns = matrix.shape
    return Spectrum(np.maximum(squared[::-1], 0), vectors[:, ::-1], (rows, columns))


def factors(matrix: np.ndarray, svd: Spectrum, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """A [m, rank] and B [rank, n] as float32 with A B the best approximation of that rank."""
    a, b = exact_factors(matrix, svd, rank)
    return np.ascontiguousarray(a, dtype=np.float32), np.ascontiguousarray(b, dtype=np.float32)


def exact_factors(matrix: np.ndarray, svd: Spectrum, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The same as float64."""
    tall = matrix.shape[0] > matrix.shape[1]
    wide = (matrix.T if tall else matrix).astype(np.float64)
    squared = svd.squared[:rank]
    root = np.sqrt(np.sqrt(squared))
    null = squared <= _NULL * svd.squared[0]
    first = svd.vectors[:, :rank] * np.where(null, 0, root)
    second = (svd.vectors[:, :rank] / np.where(null, np.inf, root)).T @ wide
    return (second.T, first.T) if tall else (first, second)


def largest_and_sqnr_db(matrix: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float | None]:
    """The largest entry of |A| |B|, which no partial sum of A B exceeds, and 10 log10(|W|^2 / |W - A B|^2), None where
    they are equal: with A and B as they are, rounded to a type of few digits for example."""
    largest = signal = noise = 0.0
    right = b.astype(np.float64)
    for start in range(0, len(matrix), _COLUMNS):
        block = matrix[start : start + _COLUMNS].astype(np.float64)
        left = a[start : start + _COLUMNS].astype(np.float64)
        product = left @ right
        largest = max(largest, float((np.abs(left) @ np.abs(right)).max()))
        signal += float(np.sum(block**2))
        noise += float(np.sum((block - product) ** 2))
    return largest, decibels(signal, noise)
