"""What the passes share that encode weights: what counts for a weight, and an encoding that rides on it or does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.forms.choice import cheapest, obstacle, saves
from nncompress.forms.narrow import BFLOAT16_FROM_OPSET
from nncompress.model.encoding import attach, preferred_form
from nncompress.model.grain import Grain, grain_of, in_blocks, per_tensor
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.encoded import Encoded
from nncompress.numerics.half import HALVES, rounded_to_half
from nncompress.numerics.importance import importance_of
from nncompress.numerics.scales import Kind
from nncompress.passes.context import Context
from nncompress.results.record import Outcome, Rewritten, Skipped

_LEAST_HALF_DB = 40.0  # float16 has about 74 dB and bfloat16 55; below this, values are too small for the type


@dataclass(frozen=True)
class Encoding:
    """What is made of a weight, in words and in decibels."""

    encoded: Encoded
    detail: str
    sqnr_db: float | None


def attached(
    weight: Weight, encoding: str | Encoding, by: str, context: Context, *, only_if_smaller: bool = True
) -> Outcome:
    """Attaches the encoding, unless it is a reason against it, cannot be stored, or takes more than it saves."""
    if isinstance(encoding, str):
        return Skipped(weight.name, by, encoding)
    reason = obstacle(weight, encoding.encoded, context.storing)
    if reason:
        return Skipped(weight.name, by, reason)
    choice, before = cheapest(weight, encoding.encoded, context.storing), weight.tensor.nbytes
    if only_if_smaller and not saves(weight, choice) and preferred_form(weight.value) is None:
        after = f"{before} bytes would become about {choice.total_bytes}"
        return Skipped(weight.name, by, f"scales and decoding nodes would eat the gain ({after})")
    attach(weight, encoding.encoded)
    return Rewritten(weight.name, by, encoding.detail, encoding.sqnr_db)


def in_half(weight: Weight, array: np.ndarray, dtype: str, context: Context) -> str | Encoding:
    """`array`, its values, as float16 or bfloat16; or the reason to leave it alone."""
    if weight.dtype.itemsize <= 2:
        return "it is stored in half precision already"
    try:
        half, sqnr_db = rounded_to_half(array, HALVES[dtype], context.store)
    except OverflowError:
        return f"holds values beyond the range of {dtype}"
    if sqnr_db is not None and sqnr_db < _LEAST_HALF_DB:
        return f"most of its values are too small for {dtype}: only {sqnr_db:.1f} dB would be left"
    return Encoding(half, dtype, sqnr_db)


def felt(model: Model, weights: Sequence[Weight], context: Context) -> dict[ir.Value, np.ndarray]:
    """How much the error of each value of a weight counts, where that is known and makes a difference."""
    if context.calibration is None or context.draft:
        return {}
    squares = zip(weights, context.calibration.inputs(model, weights), strict=True)
    found = ((weight, importance_of(known)) for weight, known in squares if not isinstance(known, str))
    return {weight.value: importance for weight, importance in found if importance is not None}


def kinds_of_scales(granularity: str, scales: str, opset: int) -> tuple[Kind, ...]:
    """What scales may be stored as besides float32."""
    one: tuple[Kind, ...] = ("one",) if granularity == "auto" else ()
    if scales == "float32":
        return one
    halves: tuple[Kind, ...] = ("float16", "bfloat16") if opset >= BFLOAT16_FROM_OPSET else ("float16",)
    return (*one, "uint8", *halves)


def block_problem(block: int | None, granularity: str) -> str | None:
    """What is wrong with these options of a pass; None if nothing is."""
    if block is not None and block < 2:
        return f"block must be at least 2, not {block}"
    if block is not None and granularity == "tensor":
        return "a block has a scale of its own: leave --per tensor out"
    return None


def asked_grain(weight: Weight, granularity: str, block: int | None) -> Grain:
    """How finely a weight is scaled by these options."""
    if granularity == "tensor":
        return per_tensor(weight)
    grain = grain_of(weight)
    return grain if block is None else in_blocks(grain, block)
