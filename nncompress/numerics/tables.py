"""Tables of values that are known before any weight is: float32, ascending, within -1 and 1, 0 among them.

normal-float   quantiles of a normal distribution, as in QLoRA's NF4 (Dettmers et al., arXiv 2305.14314)
power-of-two   1, 1/2, 1/4 ... with both signs (Zhou et al., "Incremental network quantization", arXiv 1702.03044)
piecewise      evenly spaced in the middle, and farther apart outside (Fang et al., "PWLQ", arXiv 2002.00104)
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal

import numpy as np

Scheme = Literal["normal-float", "power-of-two", "piecewise"]
_OUTERMOST = 0.9677083  # the quantile that becomes 1 in NF4
_BREAKS = (0.2, 0.3, 0.4, 0.5)  # where the middle of a piecewise table ends


def tables(scheme: Scheme, bits: int) -> list[np.ndarray]:
    """Of which the best may be taken for a weight: each of 2^bits values, or one less."""
    positive, negative = 2 ** (bits - 1), 2 ** (bits - 1) - 1  # values beside 0
    if scheme == "normal-float":
        return [_mirrored(_quantiles(positive), _quantiles(negative))]
    if scheme == "power-of-two":
        return [_mirrored(0.5 ** np.arange(positive), 0.5 ** np.arange(negative))]
    return [_mirrored(_two_pieces(positive, end), _two_pieces(negative, end)) for end in _BREAKS]


def _quantiles(count: int) -> np.ndarray:
    """So many positive ones, the largest 1."""
    normal = NormalDist()
    values = np.array([normal.inv_cdf(q) for q in np.linspace(0.5, _OUTERMOST, count + 1)[1:]])
    quantiles: np.ndarray = values / values.max(initial=1e-9)
    return quantiles


def _two_pieces(count: int, end: float) -> np.ndarray:
    """Half of them up to `end`, the others from there to 1."""
    inner = (count + 1) // 2 if count > 1 else 0
    return np.concatenate([np.linspace(0, end, inner + 1)[1:], np.linspace(end, 1, count - inner + 1)[1:]])


def _mirrored(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    table: np.ndarray = np.unique(np.concatenate([positive, [0.0], -negative]).astype(np.float32))
    return table
