"""In which form an encoding is stored: the decision alone, which `store` carries out and `planned` adds up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nncompress.forms import dequantize, gather_dequantize
from nncompress.forms.layouts import Layout, cheapest_layout
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine
from nncompress.numerics.encoded import Encoded
from nncompress.numerics.sparse import Pruned

FormChoice = Literal["folded", "dequantize"]


@dataclass(frozen=True)
class Choice:
    """The form, the layout of its codes or values, and why it is not the form that was asked for, if so."""

    form: Literal["values", "folded", "dequantize", "gather-dequantize"]
    layout: Layout
    note: str | None = None


def choose(weight: Weight, encoded: Encoded, form: FormChoice, opset: int) -> Choice:
    """The cheapest layout that the opset allows, in a form that the weight's readers and the caller allow."""
    if isinstance(encoded, Pruned):
        dtype = weight.dtype.numpy()
        return Choice("values", cheapest_layout(encoded.values, encoded.shape, dtype, encoded.nonzeros, opset))
    assert isinstance(encoded, Affine), f"no form holds a {type(encoded).__name__}"
    sparse = encoded.nonzeros if encoded.zero_point is None and encoded.signed else None
    codes = np.dtype(np.int8 if encoded.signed else np.uint8)
    layout = cheapest_layout(encoded.codes, encoded.shape, codes, sparse, opset)
    if layout.name == "dense" and gather_dequantize.obstacle(weight, encoded) is None:
        return Choice("gather-dequantize", layout)
    note = dequantize.obstacle(weight, encoded, opset) if form == "dequantize" else None
    return Choice("dequantize" if form == "dequantize" and note is None else "folded", layout, note)
