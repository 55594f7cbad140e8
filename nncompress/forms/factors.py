"""Bytes of the form `factors`: two thinner matrices in the place of one, which a pass puts into the graph."""

from __future__ import annotations

from nncompress.model.split import matrix_shape
from nncompress.model.weights import Weight

NODE_BYTES = 200  # the second node, names and headers of one reader; measured, rounded up


def largest_saving_rank(weight: Weight) -> int:
    """The largest rank r at which the result takes fewer bytes: r (k + n) numbers and the nodes, of k n numbers.

    0 or less where none does.
    """
    k, n = matrix_shape(weight)
    nodes = NODE_BYTES * len(weight.uses) // max(1, weight.dtype.numpy().itemsize)
    return max(0, (k * n - nodes - 1) // (k + n))
