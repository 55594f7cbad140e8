"""What all passes together made of the values of the weights that lost most, for people to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import elements_of, find_constants
from nncompress.model.encoding import encoded_of
from nncompress.model.lineage import origin_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.sampling import sampled_places
from nncompress.numerics.value_change import compare_values
from nncompress.results.weight_values import WeightValues

MOST_WEIGHTS = 4
MOST_ELEMENTS = 1 << 24


def worst_values(
    originals: Mapping[int, tuple[Weight, ir.TensorProtocol]],
    result: Model,
    errors: Sequence[float | None],
    output_errors: Sequence[float | None],
) -> tuple[WeightValues, ...]:
    """The MOST_WEIGHTS encoded weights that did most damage, the worst first. `result`: between the passes and `store`.

    By line of the ledger: the weights and tensors that were there at first, the SQNR in dB of values, and that of what
    the weight computes, which counts where it is known. Weights that were split or have more than MOST_ELEMENTS
    elements are left out. One weight is read at a time, and of a large one a sample.
    """
    shown: list[tuple[float, Weight, ir.TensorProtocol, float]] = []
    for value, _, scope in find_constants(result):
        origin = origin_of(value)
        error = None if origin is None or origin.same_as is not None else errors[origin.line]
        if origin is None or origin.line not in originals or error is None or not math.isfinite(error):
            continue
        weight, original = Weight(value, scope, ()), origin.fair(originals[origin.line][1])
        output_error = output_errors[origin.line]
        if _can_be_shown(weight, original):
            shown.append((error if output_error is None else output_error, weight, original, error))
    shown.sort(key=lambda entry: entry[0])
    return tuple(_values(weight, original, error) for _, weight, original, error in shown[:MOST_WEIGHTS])


def _can_be_shown(weight: Weight, original: ir.TensorProtocol) -> bool:
    if encoded_of(weight) is None or not 0 < weight.size <= MOST_ELEMENTS:
        return False
    return (original.dtype, tuple(original.shape.numpy())) == (weight.dtype, weight.shape)


def _values(weight: Weight, original: ir.TensorProtocol, sqnr_db: float) -> WeightValues:
    encoded = encoded_of(weight)
    assert encoded is not None, "see _can_be_shown"
    places = sampled_places(weight.size)
    change = compare_values(
        elements_of(original, places),
        encoded.decode_at(places).astype(weight.dtype.numpy(), copy=False),
    )
    return WeightValues(
        weight=weight.given_name,
        sqnr_db=sqnr_db,
        low=change.low,
        high=change.high,
        counts_before=tuple(change.counts_before.tolist()),
        counts_after=tuple(change.counts_after.tolist()),
        pairs=tuple((before, after) for before, after in _rounded(change.pairs).tolist()),
    )


def _rounded(pairs: np.ndarray) -> np.ndarray:
    """To a millionth of the largest: more than a dot shows."""
    largest = float(np.abs(pairs).max(initial=0))
    return np.round(pairs, 7 - math.ceil(math.log10(largest))) if largest else pairs
