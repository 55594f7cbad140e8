"""The error that all passes together made in each weight, against its values in the original.

A step measures what it does to what it finds, which is the whole where it is the only one; the rest is measured here,
one weight at a time, while what passes made still rides on the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from nncompress.model.lineage import origin_of
from nncompress.model.model import Model
from nncompress.model.split import product
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.sqnr import sqnr_db
from nncompress.results.record import Outcome, Rewritten

MOST_ELEMENTS = 1 << 28  # of a weight whose factors are multiplied: the product is as large as the original


def chain_errors(
    originals: Mapping[int, tuple[Weight, ir.TensorProtocol]], result: Model, outcomes: Sequence[Sequence[Outcome]]
) -> list[float | None]:
    """SQNR in dB by line of the ledger; None where nothing was lost, or it is not defined.

    `originals`: the weights and tensors that were there at first, by line; `outcomes` by line.
    """
    steps = [
        [step.sqnr_db for step in of_line if isinstance(step, Rewritten) and step.sqnr_db is not None]
        for of_line in outcomes
    ]
    remaining = _by_line(result) if any(len(of_line) > 1 for of_line in steps) else {}
    return [
        _measured(*originals[line], remaining[line])
        if len(of_line) > 1 and line in remaining
        else of_line[0]
        if of_line
        else None
        for line, of_line in enumerate(steps)
    ]


def _by_line(result: Model) -> dict[int, list[Weight]]:
    """The weights that are there now."""
    remaining: dict[int, list[Weight]] = {}
    for weight in find_weights(result):
        origin = origin_of(weight.value)
        if origin is not None:
            remaining.setdefault(origin.line, []).append(weight)
    return remaining


def _measured(weight: Weight, original: ir.TensorProtocol, remaining: list[Weight]) -> float | None:
    """Of a weight whose values are now those of one, or those of two factors."""
    origin = origin_of(remaining[0].value)
    before = (original if origin is None else origin.fair(original)).numpy()
    if len(remaining) == 1 and remaining[0].shape == before.shape:
        return sqnr_db(before, remaining[0].tensor.numpy())
    factors = sorted(remaining, key=lambda factor: factor.name)  # NAME.a0 and NAME.b0
    if len(factors) != 2 or before.size > MOST_ELEMENTS:
        return None
    return sqnr_db(before, product(weight, *(factor.tensor.numpy() for factor in factors)))
