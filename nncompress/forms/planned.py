"""How many bytes the constants of a model would take if `store` ran now. Nothing is drafted."""

from __future__ import annotations

from nncompress.forms import dequantize
from nncompress.forms.choice import FormChoice, choose
from nncompress.forms.layouts import SPARSE_OVERHEAD_BYTES, Layout
from nncompress.model.constants import find_constants
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.affine import Affine
from nncompress.numerics.encoded import Encoded


def planned_bytes(model: Model, form: FormChoice = "folded") -> int:
    """Bytes of all constants. Of a sparse layout the values and places count, not the few numbers that unpack them."""
    planned = {
        id(weight.value): _planned(weight, encoded, form, model.opset)
        for weight in find_weights(model)
        if (encoded := encoded_of(weight)) is not None
    }
    return sum(planned.get(id(value), tensor.nbytes) for value, tensor, _ in find_constants(model))


def _planned(weight: Weight, encoded: Encoded, form: FormChoice, opset: int) -> int:
    chosen = choose(weight, encoded, form, opset)
    if not isinstance(encoded, Affine):
        return _payload(chosen.layout)
    scales = encoded.scale.nbytes + (0 if encoded.input_scale is None else encoded.input_scale.nbytes)
    if chosen.form == "dequantize":
        zeros = encoded.scale.size if encoded.zero_point is not None or not encoded.signed else 0
        shape = 8 * len(encoded.shape) if dequantize.needs_rows(encoded) else 0
        return weight.size + scales + zeros + shape
    zeros = 0 if encoded.zero_point is None else encoded.zero_point.size * 4
    return _payload(chosen.layout) + scales + zeros


def _payload(layout: Layout) -> int:
    return layout.size_bytes - (0 if layout.name == "dense" else SPARSE_OVERHEAD_BYTES)
