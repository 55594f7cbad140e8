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
    remaining: dict[int, list[Weight]] = {}
    for weight in find_weights(result):
        origin = origin_of(weight.value)
        if origin is not None:
            remaining.setdefault(origin.line, []).append(weight)
    errors: list[float | None] = []
    for line, of_line in enumerate(outcomes):
        steps = [outcome for outcome in of_line if isinstance(outcome, Rewritten) and outcome.sqnr_db is not None]
        if len(steps) > 1 and line in remaining:
            errors.append(_measured(*originals[line], remaining[line]))
        else:
            errors.append(steps[0].sqnr_db if steps else None)
    return errors


def _measured(weight: Weight, original: ir.TensorProtocol, remaining: list[Weight]) -> float | None:
    """Of a weight whose values are now those of one, or those of two factors."""
    before = original.numpy()
    if len(remaining) == 1 and remaining[0].shape == before.shape:
        return sqnr_db(before, remaining[0].tensor.numpy())
    factors = sorted(remaining, key=lambda factor: factor.name)  # NAME.a0 and NAME.b0
    if len(factors) != 2 or before.size > MOST_ELEMENTS:
        return None
    return sqnr_db(before, product(weight, *(factor.tensor.numpy() for factor in factors)))
