"""How an encoding rides on a weight between the pass that makes it and `store`, which writes it into the graph.

Meanwhile the weight holds the decoded values, computed when somebody asks: the graph is an ordinary float graph that
computes what the result will compute.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import set_values
from nncompress.model.tensors import lazy
from nncompress.model.weights import Weight

_KEY = "nncompress.encoded"


class Encoded(Protocol):
    """What numerics make of a weight, independent of any graph."""

    def decode(self) -> np.ndarray: ...


def attach(weight: Weight, encoded: Encoded) -> None:
    """From now on the weight has the values that `encoded` decodes to, and will be stored as it."""
    dtype, shape = weight.dtype, weight.shape
    set_values(weight, lazy(lambda: encoded.decode().astype(dtype.numpy(), copy=False), dtype, shape, weight.name))
    weight.value.meta[_KEY] = encoded


def encoded_of(weight: Weight) -> Encoded | None:
    """What rides on the weight; None for plain values."""
    found: Encoded | None = weight.value.meta.get(_KEY)
    return found


def value_is_encoded(value: ir.Value) -> bool:
    """True if an encoding rides on this constant."""
    return _KEY in value.meta
