"""Which scales are worth their bytes: one for all channels, or one each in a narrow type.

A step that is r times as large as it need be makes the rounding noise of its channel r^2 times as large. Scales are
rounded up, so that nothing more is clipped, and codes are computed with what is stored: the mean of r^2 over the
channels is all that a narrow type costs. It is weighed against the bytes at a quarter of the rate of the codes
themselves, of which a bit is 6.02 dB and an eighth of their bytes: a percent may cost 0.12 dB.

Channels never share a scale in groups: beside scales of a byte, steps of neighbours would have to be within about 15 %
of each other to pay even for 9 codes a channel, and for no weight of 14 trained models does any grouping pay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

Kind = Literal["one", "uint8", "float16", "bfloat16", "float32"]
DB_PER_PERCENT = 20 * math.log10(2) / 12.5 / 4  # of the bytes of 8-bit codes
MOST_LOSS_DB = 1.0  # of all channels
LARGEST_RATIO = 1.25  # of the steps of any channel: 1.9 dB
LEAST_GAIN_DB = 2.0  # of zero points, and one more for each percent that they add to the codes
CAST_BYTES, MUL_BYTES = 50, 75  # of a file: a node, and one with its constant; measured, rounded up
_NODE_BYTES = {
    "one": 0,
    "uint8": CAST_BYTES + MUL_BYTES,
    "float16": CAST_BYTES,
    "bfloat16": CAST_BYTES,
    "float32": 0,
}
_ZERO_POINT_BYTES = CAST_BYTES + MUL_BYTES  # of their nodes
_WIDTH = {"uint8": 1, "float16": 2, "bfloat16": 2, "float32": 4}
_HALVES: dict[Kind, np.dtype] = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
_UNIT_BITS = 15  # of the fraction of a unit: 255 times it is exact


@dataclass(frozen=True)
class Scales:
    """float32 [channels], or [1] for `one`, each of which `kind` holds exactly."""

    values: np.ndarray
    kind: Kind


def affordable(
    scale: np.ndarray, used: np.ndarray, codes: int, kinds: Sequence[Kind], largest: float,
    most_loss_db: float = MOST_LOSS_DB,
) -> Scales:  # fmt: skip
    """The best of `kinds` and float32 for `scale` (float32 [channels], positive) of `codes` codes in all.

    `used` (bool [channels]): where a channel has any value but 0; the others take any scale. None is above `largest`.
    """
    best, least = Scales(scale, "float32"), _percent(scale.size, "float32", codes) * DB_PER_PERCENT
    for candidate in _candidates(scale, used, kinds):
        ratios = _ratios(candidate.values, scale, used)
        if candidate.values.max() > largest or ratios.max() > LARGEST_RATIO:
            continue
        loss = _growth_db(ratios)
        cost = loss + _percent(scale.size, candidate.kind, codes) * DB_PER_PERCENT
        if loss <= most_loss_db and cost < least:
            best, least = candidate, cost
    return best


def growth_db(steps: np.ndarray, before: np.ndarray, used: np.ndarray) -> float:
    """By how much the rounding noise grows from steps `before` to `steps`, relative to that of each channel."""
    return _growth_db(_ratios(steps, before, used))


def _ratios(steps: np.ndarray, before: np.ndarray, used: np.ndarray) -> np.ndarray:
    ratios: np.ndarray = np.broadcast_to(steps, before.shape)[used] / before[used].astype(np.float64)
    return ratios


def _growth_db(ratios: np.ndarray) -> float:
    return 10 * math.log10(np.mean(ratios**2)) if ratios.size else 0.0


def pays_zero_points(gain_db: float, channels: int, codes: int) -> bool:
    """True if so much less noise is worth a byte a channel."""
    percent = 100 * (channels + _ZERO_POINT_BYTES) / max(1, codes)
    return gain_db > LEAST_GAIN_DB + percent


def _percent(channels: int, kind: Kind, codes: int) -> float:
    size = 4 if kind == "one" else channels * _WIDTH[kind]
    return 100 * (size + _NODE_BYTES[kind]) / max(1, codes)


def _candidates(scale: np.ndarray, used: np.ndarray, kinds: Sequence[Kind]) -> Iterator[Scales]:
    if scale.size < 2 or not used.any():
        return
    live = scale[used]
    if "one" in kinds:
        yield Scales(live.max(keepdims=True), "one")
    if "uint8" in kinds and live.max() / 255 >= np.finfo(np.float32).tiny:
        unit = unit_of(live.max())
        yield Scales(np.clip(np.ceil(scale / unit), 1, 255).astype(np.float32) * unit, "uint8")
    for kind, dtype in _HALVES.items():
        limits = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        if kind in kinds and float(limits.tiny) <= live.min() and live.max() <= float(limits.max):
            yield Scales(_rounded_up(np.where(used, scale, live.max()), dtype), kind)


def unit_of(largest: np.float32) -> np.float32:
    """A 255th of `largest`, rounded up to so few bits that whole multiples of it up to 255 are float32."""
    fraction, exponent = math.frexp(float(largest) / 255)
    return np.float32(math.ldexp(math.ceil(math.ldexp(fraction, _UNIT_BITS)), exponent - _UNIT_BITS))


def _rounded_up(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Positive float32 `numbers` to the next one of `dtype`, as float32."""
    nearest = numbers.astype(dtype)
    below = nearest.astype(np.float32) < numbers
    return (nearest.view(np.uint16) + below.astype(np.uint16)).view(dtype).astype(np.float32)
