"""What all passes together made of the values of the weights that lost most, for people to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import elements_of, find_constants
from nncompress.model.encoding import encoded_of
from nncompress.model.lineage import origin_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.sampling import sampled_places
from nncompress.numerics.value_change import compare_values
from nncompress.results.record import WeightValues

MOST_WEIGHTS = 4
MOST_ELEMENTS = 1 << 24


def worst_values(original: Model, result: Model, errors: Sequence[float | None]) -> tuple[WeightValues, ...]:
    """The MOST_WEIGHTS encoded weights of lowest SQNR, the lowest first. `result`: between the passes and `store`;
    `errors` by line of the ledger.

    Weights that were split, of more than MOST_ELEMENTS elements, or whose name does not single out their original
    are left out. One weight is read at a time, and of a large one a sample.
    """
    weights = [
        Weight(value, scope, ()) for value, _, scope in find_constants(result) if _error(value, errors) is not None
    ]
    originals = _by_name(original, {weight.given_name for weight in weights})
    shown = [
        (sqnr_db, weight)
        for weight in weights
        if (sqnr_db := _error(weight.value, errors)) is not None
        and _can_be_shown(weight, originals.get(weight.given_name))
    ]
    shown.sort(key=lambda pair: pair[0])
    return tuple(_values(weight, originals[weight.given_name], sqnr_db) for sqnr_db, weight in shown[:MOST_WEIGHTS])


def _error(value: ir.Value, errors: Sequence[float | None]) -> float | None:
    origin = origin_of(value)
    sqnr_db = None if origin is None or origin.same_as is not None else errors[origin.line]
    return sqnr_db if sqnr_db is not None and math.isfinite(sqnr_db) else None


def _by_name(model: Model, names: set[str]) -> dict[str, ir.TensorProtocol]:
    """The constants called so, without names that several have."""
    constants: dict[str, list[ir.TensorProtocol]] = {}
    for value, tensor, _ in find_constants(model):
        if value.name in names:
            constants.setdefault(value.name, []).append(tensor)
    return {name: tensors[0] for name, tensors in constants.items() if len(tensors) == 1}


def _can_be_shown(weight: Weight, original: ir.TensorProtocol | None) -> bool:
    if original is None or encoded_of(weight) is None or not 0 < weight.size <= MOST_ELEMENTS:
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
