"""Factors and inverses of positive definite matrices, by products of their blocks: several times as fast as LAPACK.

L of H = L L^T comes panel by panel: what is left of H there, less the products of the panels before, times the inverse
of the factor of its first rows. For H^-1, with M = L^-1, H = L L^T in blocks [[A, .], [B, C]]:

    M_A = inverse factor of A      L_B = B M_A^T      M_C = inverse factor of C - L_B L_B^T      M_B = -M_C L_B M_A
"""

from __future__ import annotations

import numpy as np

_SMALL = 256  # rows that are solved for
_PANEL = 512


def cholesky(h: np.ndarray) -> np.ndarray:
    """L of positive definite matrices [groups, n, n], of their type. Raises LinAlgError for others."""
    count = h.shape[-1]
    if count <= _SMALL:
        return np.linalg.cholesky(h)
    lower = np.zeros_like(h)
    for start in range(0, count, _SMALL):
        end = min(count, start + _SMALL)
        own = h[..., start:, start:end] - lower[..., start:, :start] @ lower[..., start:end, :start].swapaxes(-1, -2)
        first = np.linalg.cholesky(own[..., : end - start, :])
        lower[..., start:end, start:end] = first
        lower[..., end:, start:end] = own[..., end - start :, :] @ np.linalg.inv(first).swapaxes(-1, -2)
    return lower


def inverse(h: np.ndarray) -> np.ndarray:
    """H^-1 of positive definite matrices [groups, n, n], of their type."""
    factor = _inverse_factor(h)
    out = np.empty_like(h)
    for start in range(0, h.shape[-1], _PANEL):
        own = slice(start, start + _PANEL)
        products = factor[..., start:, own].swapaxes(-1, -2) @ factor[..., start:, : start + _PANEL]
        out[..., own, : start + _PANEL] = products
        out[..., :start, own] = products[..., :start].swapaxes(-1, -2)
    return out


def _inverse_factor(h: np.ndarray) -> np.ndarray:
    """L^-1 of H = L L^T."""
    count = h.shape[-1]
    if count <= _SMALL:
        factor: np.ndarray = np.linalg.inv(np.linalg.cholesky(h)).astype(h.dtype, copy=False)
        return np.tril(factor)
    half = count // 2
    first = _inverse_factor(h[..., :half, :half])
    across = h[..., half:, :half] @ first.swapaxes(-1, -2)
    last = _inverse_factor(h[..., half:, half:] - across @ across.swapaxes(-1, -2))
    out = np.zeros_like(h)
    out[..., :half, :half], out[..., half:, half:] = first, last
    out[..., half:, :half] = -(last @ (across @ first))
    return out
