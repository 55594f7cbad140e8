"""How many bytes the constants of a model would take if `store` ran now. Nothing is drafted."""

from __future__ import annotations

import numpy as np

from nncompress.forms import dequantize, gather_dequantize
from nncompress.forms.layouts import SPARSE_OVERHEAD_BYTES, Layout, cheapest_layout
from nncompress.forms.store import FormChoice
from nncompress.model.constants import find_constants
from nncompress.model.encoding import Encoded, encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.affine import Affine
from nncompress.numerics.held import Held
from nncompress.numerics.sparse import Pruned


def planned_bytes(model: Model, form: FormChoice = "folded") -> int:
    """Bytes of all constants. Of a sparse layout the values and places count, not the few numbers that unpack them."""
    planned = {
        id(weight.value): _planned(weight, encoded, form, model.opset)
        for weight in find_weights(model)
        if (encoded := encoded_of(weight)) is not None
    }
    return sum(planned.get(id(value), tensor.nbytes) for value, tensor, _ in find_constants(model))


def _planned(weight: Weight, encoded: Encoded, form: FormChoice, opset: int) -> int:
    if isinstance(encoded, Pruned):
        dtype = weight.dtype.numpy()
        return _payload(cheapest_layout(_Nonzero(encoded.values), encoded.shape, dtype, encoded.nonzeros, opset))
    assert isinstance(encoded, Affine), f"no form holds a {type(encoded).__name__}"
    sparse = encoded.nonzeros if encoded.zero_point is None and encoded.signed else None
    layout = cheapest_layout(_Nonzero(encoded.codes), encoded.shape, np.dtype(np.int8), sparse, opset)
    second = 0 if encoded.input_scale is None else encoded.input_scale.nbytes
    is_table = gather_dequantize.obstacle(weight, encoded) is None and layout.name == "dense"
    if form == "dequantize" and not is_table and dequantize.obstacle(encoded, opset) is None:
        zeros = encoded.scale.size if encoded.zero_point is not None or not encoded.signed else 0
        shape = 8 * len(encoded.shape) if dequantize.needs_rows(encoded) else 0
        return weight.size + encoded.scale.nbytes + zeros + shape + second
    zeros = 0 if encoded.zero_point is None else encoded.zero_point.size * 4
    return _payload(layout) + encoded.scale.nbytes + zeros + second


def _payload(layout: Layout) -> int:
    return layout.size_bytes - (0 if layout.name == "dense" else SPARSE_OVERHEAD_BYTES)


class _Nonzero:
    """Which values are not zero: many times faster to search than the values."""

    def __init__(self, values: Held) -> None:
        self._values = values

    def load(self) -> np.ndarray:
        return np.asarray(self._values.load() != 0)
