"""Sums of two products that may not fit 16 bits, as x86 without VNNI adds them: avoided, or counted and said."""

from __future__ import annotations

import numpy as np

from nncompress.forms.choice import cheapest
from nncompress.forms.integer_lstm import may_be_integer
from nncompress.model.encoding import preferred_form
from nncompress.model.multiplied import summed_axes
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Quantized
from nncompress.numerics.saturation import KeptApart, pairs_left, without_saturation
from nncompress.passes.context import Context

MAY_SATURATE = "may saturate on processors without VNNI"
_MULTIPLIED = ("dequantize", "integer")  # forms in which a pass has a weight multiplied in integers


def kept_apart(
    weight: Weight,
    array: np.ndarray,
    made: Quantized,
    importance: np.ndarray | None,
    context: Context,
    cpu: str,
) -> tuple[Quantized, KeptApart]:
    """Codes for sums of two products in 16 bits, where there will be any: safe (portable, or where this processor
    adds so), or counted."""
    form = preferred_form(weight.value) or ("integer" if context.storing.form == "integer" else None)
    in_integers = form in _MULTIPLIED and cheapest(weight, made.affine, context.storing).form.name == form
    waits = form == "integer" and may_be_integer(weight, context.storing)  # for the other matrix of its LSTM
    in_integers = in_integers or waits
    if not made.affine.signed or not in_integers:
        return made, KeptApart()
    orders = tuple(filter(None, dict.fromkeys(summed_axes(use) for use in weight.uses)))
    if cpu == "native" and not context.adds_in_16_bits:
        return made, pairs_left(made.affine.codes.load(), orders)
    return without_saturation(array, made, orders, context.store, importance)


def said(apart: KeptApart) -> str:
    """In a ledger."""
    if apart.left:
        return f", {apart.left} pair{'s' * (apart.left != 1)} of products {MAY_SATURATE}"
    counts = {f"pair{'s' * (apart.pairs != 1)} moved apart": apart.pairs,
              f"scale{'s' * (apart.scales != 1)} enlarged": apart.scales}  # fmt: skip
    done = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f", {done} for processors without VNNI" if done else ""
