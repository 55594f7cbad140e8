"""The clipping that changes the distribution of values least: the threshold of least Kullback-Leibler divergence.

S. Migacz, 8-bit inference with TensorRT, GTC 2017. For a threshold of i bins, P are the i bins with all that lies
beyond counted in the last one, and Q are the i bins without that, merged into as many groups as there are levels and
spread again evenly over those of a group's bins that are not empty. Sum over bins P log(P / Q) is least for the answer.

In terms of counts c, with N = sum of all, R = sum of the first i, o = N - R, and of the sums G and numbers m of bins
that are not empty of each group:  N D = sum P log P - sum_groups (G + [last] o) log(G / m) - N log N + N log R.
"""

from __future__ import annotations

import numpy as np

_STEP = 4  # bins from one threshold that is tried to the next


def clipping_bins(counts: np.ndarray, levels: int) -> int:
    """How many of the bins [n] of magnitudes, from 0 on, are kept where `levels` stand for them; the more at a tie.

    All are where there are no more bins than levels. A threshold is passed over where its last bin is empty but not
    all beyond it: the divergence is infinite there. Zero itself must not be counted, for it is exact at any threshold.
    """
    used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    if used <= levels:
        return used
    tried = np.arange(used, levels - 1, -_STEP)
    tried = tried[counts[tried - 1] > 0]
    return int(tried[np.argmin(divergences(counts[:used], tried, levels))])


def divergences(counts: np.ndarray, tried: np.ndarray, levels: int) -> np.ndarray:
    """Of each number of bins in `tried` [k], with a last bin that is not empty, the divergence."""
    summed = np.concatenate([[0], np.cumsum(counts)])
    filled = np.concatenate([[0], np.cumsum(counts > 0)])
    terms = np.concatenate([[0], np.cumsum(_x_log_x(counts))])
    edges = tried[:, None] * np.arange(levels + 1) // levels
    groups = np.diff(summed[edges], axis=1).astype(np.float64)
    spread_over = np.diff(filled[edges], axis=1)
    logs = np.log(np.divide(groups, spread_over, out=np.ones_like(groups), where=groups > 0))
    total, kept = float(summed[-1]), summed[tried]
    beyond = total - kept
    own = terms[tried - 1] + _x_log_x(counts[tried - 1] + beyond)
    explained = (groups * logs).sum(axis=1) + beyond * logs[:, -1]
    divergence: np.ndarray = (own - explained) / total - np.log(total) + np.log(kept)
    return divergence


def _x_log_x(x: np.ndarray) -> np.ndarray:
    exact = np.asarray(x, np.float64)
    product: np.ndarray = exact * np.log(np.where(exact > 0, exact, 1))
    return product
