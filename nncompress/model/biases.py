"""Finds the constants that are only added to results: biases."""

from __future__ import annotations

from nncompress.model.computed import may_be_computed
from nncompress.model.model import Model
from nncompress.model.node_attributes import standard_op
from nncompress.model.weights import Weight, all_constants

_ADDED = {
    "Add": (0, 1), "Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "LayerNormalization": (2,),
    "InstanceNormalization": (2,), "LSTM": (3,), "GRU": (3,), "RNN": (3,),
}  # fmt: skip


def find_biases(model: Model) -> list[Weight]:
    """Constants that are no weights and that every reader adds, as weights without uses."""
    return [
        constant
        for constant in all_constants(model)
        if not constant.uses and constant.value.uses() and may_be_computed(constant.value) and _is_added(constant)
    ]


def _is_added(constant: Weight) -> bool:
    return all(use.idx in _ADDED.get(standard_op(use.node) or "", ()) for use in constant.value.uses())
