"""Factors and inverses by blocks, against those of numpy."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.numerics.definite import cholesky, inverse


def definite(count: int, dtype: type[np.floating]) -> np.ndarray:
    rows = np.random.default_rng(count).standard_normal((2, 2 * count + 8, count))
    h: np.ndarray = (rows.transpose(0, 2, 1) @ rows / rows.shape[1] + np.eye(count)).astype(dtype)
    return h


@pytest.mark.parametrize("count", [1, 3, 256, 257, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_inverse(count: int, dtype: type[np.floating]) -> None:
    h = definite(count, dtype)
    found = inverse(h)
    assert found.dtype == dtype
    tolerance = 100 * float(np.finfo(dtype).eps)  # the condition is below 10, sums are of up to 700 products
    assert np.abs(found @ h - np.eye(count)).max() < tolerance


@pytest.mark.parametrize("count", [1, 3, 256, 257, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_factor(count: int, dtype: type[np.floating]) -> None:
    h = definite(count, dtype)
    found = cholesky(h)
    assert found.dtype == dtype
    tolerance = 100 * float(np.finfo(dtype).eps)  # as above
    assert np.abs(found - np.linalg.cholesky(h.astype(np.float64))).max() < tolerance


def test_what_is_not_definite_has_no_factor() -> None:
    h = np.eye(700)[None]
    h[0, 600, 600] = -1.0
    with pytest.raises(np.linalg.LinAlgError):
        cholesky(h)
