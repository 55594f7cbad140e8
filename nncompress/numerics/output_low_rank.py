"""The best approximation of what a matrix computes, x W, by two thinner ones.

    E|x W - x A B|^2 = |L^T W - L^T A B|^2,   H = E[x^T x] = L L^T

is least for L^T A B = P_r S_r Q_r^T, P S Q^T the singular value decomposition of L^T W (Chen et al., 2021, "DRONE";
Wang et al., 2024, "SVD-LLM"). Leaving component i out loses s_i^2 of the power of the outputs. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nncompress.numerics.low_rank import Spectrum, exact_factors, spectrum
from nncompress.numerics.second_order import Quadratic


@dataclass(frozen=True, eq=False)
class OutputSpectrum:
    """Powers s_i^2 of the components of x W, largest first."""

    svd: Spectrum  # of `seen`
    seen: np.ndarray  # L^T W [K, N]
    lower: np.ndarray  # L [blocks, k, k]: what blocks of inputs have to do with each other is not known

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """A [K, rank] and B [rank, N] as float32, column i of A as large as row i of B."""
        seen, b = exact_factors(self.seen, self.svd, rank)
        blocks, inputs, _ = self.lower.shape
        a = np.linalg.solve(self.lower.transpose(0, 2, 1), seen.reshape(blocks, inputs, rank)).reshape(-1, rank)
        sizes = np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=1)
        there = (sizes[0] > 0) & (sizes[1] > 0)
        root = np.sqrt(np.divide(sizes[1], sizes[0], out=np.ones(rank), where=there))
        return np.ascontiguousarray(a * root, dtype=np.float32), np.ascontiguousarray(b / root[:, None], np.float32)


def output_spectrum(quadratic: Quadratic) -> OutputSpectrum:
    """Of the matrix [blocks, N, k] that `quadratic` is about, K inputs in one or several blocks."""
    lower = np.linalg.cholesky(quadratic.h)
    seen = np.linalg.solve(lower, quadratic.r.transpose(0, 2, 1)).reshape(-1, quadratic.r.shape[1])
    return OutputSpectrum(spectrum(seen), seen, lower)
