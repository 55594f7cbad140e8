"""Small constants in half precision, where what is computed with them keeps its digits.

The SQNR of a tensor speaks for its large values. Of what is divided by, the small ones count: each 1 / c, and each
1 / sqrt(variance + epsilon), is held to the same decibels, and so is a mean, in standard deviations of its channel.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nncompress.forms.choice import cheapest, obstacle, saves
from nncompress.model.channel_steps import EPSILON
from nncompress.model.constants import FLOATS, float_constant
from nncompress.model.encoding import attach
from nncompress.model.node_attributes import float_of, operand
from nncompress.model.small_constants import Reader, SmallConstant
from nncompress.numerics.grid import smallest_normal
from nncompress.numerics.half import HALVES, largest_error
from nncompress.passes.base import unfit
from nncompress.passes.context import Context
from nncompress.passes.encoding import Encoding, in_half
from nncompress.results.record import Outcome, Rewritten

_MEAN, _VARIANCE = 3, 4  # operands of BatchNormalization


def halved(found: Iterable[SmallConstant], dtype: str, least_db: float, by: str, context: Context) -> list[Outcome]:
    """Attaches `dtype` to those that it makes smaller and leaves at least `least_db` of; the others go unmentioned."""
    outcomes: list[Outcome] = []
    for small in found:
        constant = small.constant
        if (small.may_be_bias and context.moves_biases) or constant.dtype not in FLOATS or unfit(constant.array()):
            continue
        half = in_half(constant, constant.array(), dtype, context)
        if isinstance(half, str) or not _is_exact(small, half, least_db):
            continue
        if obstacle(constant, half.encoded, context.storing):
            continue
        if saves(constant, cheapest(constant, half.encoded, context.storing)):
            attach(constant, half.encoded)
            outcomes.append(Rewritten(constant.name, by, half.detail, half.sqnr_db))
    return outcomes


def _is_exact(small: SmallConstant, half: Encoding, least_db: float) -> bool:
    if half.sqnr_db is not None and half.sqnr_db < least_db:
        return False
    before, after = small.constant.array(), half.encoded.decode()
    after[np.abs(after) < smallest_normal(HALVES[half.detail])] = 0  # as some runtimes read it
    most = 10 ** (-least_db / 20)
    return all(_error(reader, before, after) <= most for reader in small.readers)


def _error(reader: Reader, before: np.ndarray, after: np.ndarray) -> float:
    """The largest one in units of what counts for this reader; 0 where no single value counts, inf: nobody knows."""
    match reader.op, reader.index:
        case ("Div", 1) | ("Pow", _):
            return largest_error(before, after, np.minimum(np.abs(before), np.abs(after)))
        case "BatchNormalization", index if index in (_MEAN, _VARIANCE):
            variance = float_constant(operand(reader.node, _VARIANCE))
            epsilon = float_of(reader.node, "epsilon", EPSILON)
            if variance is None or epsilon is None or variance.shape != before.shape or unfit(variance.numpy()):
                return np.inf
            if index == _VARIANCE:
                before, after = _deviation(before, epsilon), _deviation(after, epsilon)
                return largest_error(before, after, np.minimum(before, after))
            return largest_error(before, after, _deviation(variance.numpy(), epsilon))
    return 0.0


def _deviation(variance: np.ndarray, epsilon: float) -> np.ndarray:
    """That by which it is divided; 0 where there is none."""
    return np.sqrt(np.maximum(variance.astype(np.float64) + epsilon, 0))
