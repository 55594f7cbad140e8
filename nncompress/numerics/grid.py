"""Which values of each channel the integers of a quantized weight cover, and the scales and zero points of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

from nncompress.numerics.clipping import mirrored, narrow_range, value_range
from nncompress.numerics.scales import MOST_LOSS_DB, Kind, affordable, growth_db, pays_zero_points

Range = Literal["minmax", "mse", "half-quadratic"]
_LARGEST_FLOAT = float(np.finfo(np.float32).max) * (1 - 1e-6)
_SAMPLED, _EXACT = 64, 1e-10  # values along each axis that are looked at, and what rounding to float leaves of them
_MANY_NONZEROS = 0.9  # with more zeros, sparse layouts may pay, which take 0 for the code 0


def levels(bits: int, *, signed: bool, symmetric: bool) -> tuple[int, int]:
    """Smallest and largest code; symmetric ranges leave out the most negative one, so that -w codes as -q."""
    if not signed:
        return (1 if symmetric else 0), 2**bits - 1
    return -(2 ** (bits - 1)) + symmetric, 2 ** (bits - 1) - 1


@dataclass(frozen=True)
class Grid:
    """The codes `smallest` to `largest`, and the values of each channel that they cover: float64 [channels]."""

    smallest: int
    largest: int
    low: np.ndarray
    high: np.ndarray
    symmetric: bool

    @property
    def step(self) -> np.ndarray:
        """float32, never 0 or denormal."""
        steps = self.largest - self.smallest
        least = np.finfo(np.float32).tiny * steps
        step: np.ndarray = (np.maximum(self.high - self.low, least) / steps).astype(np.float32)
        return step

    def zero_points(self, step: np.ndarray) -> np.ndarray:
        """int32, the code of 0 in each channel, or the one of all."""
        if self.symmetric:
            return np.full(1, (self.smallest + self.largest) // 2, np.int32)
        places = self.smallest - self.low / step.astype(np.float64)
        zero: np.ndarray = np.clip(np.rint(places), self.smallest, self.largest).astype(np.int32)
        return zero

    def holds(self, flat: np.ndarray) -> bool:
        """True where a sample of the values lies on it: they were rounded before, and another grid would lose them."""
        channels = slice(None, None, max(1, flat.shape[1] // _SAMPLED))
        sample = flat[:_SAMPLED, channels, :_SAMPLED].astype(np.float64)
        step = self.step[channels, None].astype(np.float64)
        error = sample - step * np.rint(sample / step)
        return float((error**2).sum()) <= _EXACT * float((sample**2).sum())


def grids_to_try(
    flat: np.ndarray, bits: int, signed: bool, symmetric: bool | None, range_: Range, importance: np.ndarray | None
) -> list[Grid]:
    """The one asked for; otherwise the symmetric one, and the other one where it may be worth its zero points.

    The noise of rounding is that of the weights times what the inputs are, for either grid. `importance` (as in
    `narrow_range`) tells which values matter that are clipped or happen to lie on a grid: only then the errors decide.
    """
    low, high = value_range(flat)

    def grid(symmetric: bool, range_: Range) -> Grid:
        ends = levels(bits, signed=signed, symmetric=symmetric)
        limits = mirrored(low, high) if symmetric else (low, high)
        if range_ != "minmax":
            counts = importance if range_ == "mse" else None
            limits = narrow_range(flat, *limits, ends[1] - ends[0], counts)
        return Grid(*ends, *limits, symmetric)

    def pays(shifted: Grid, plain: Grid) -> bool:
        gain_db = -growth_db(shifted.step, plain.step, high > low)
        return pays_zero_points(gain_db, flat.shape[1], flat.size)

    if symmetric is not None:
        return [grid(symmetric, range_)]
    plain = grid(True, range_)
    if plain.holds(flat):
        return [plain]
    # clipping hardly ever shortens the range that is not mirrored by more than the other one
    if importance is None and not pays(grid(False, "minmax"), grid(True, "minmax")):
        return [plain]
    shifted = grid(False, range_)
    if importance is None and not pays(shifted, plain):
        return [plain]
    if np.count_nonzero(flat) <= _MANY_NONZEROS * flat.size:
        return [plain]
    return [shifted] if importance is None else [plain, shifted]


def affine_parameters(
    grid: Grid, *, half: np.dtype | None = None, kinds: Sequence[Kind] = (), codes: int = 0, exact: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Scales (float32, never 0 or denormal) and zero points (int32), one for each channel or one for all of them.

    No code decodes to an infinite value, also not where it is rounded to the type `half` afterwards. `kinds` and
    `codes` as in `affordable`; `exact`: nothing may be lost by them.
    """
    smallest, largest, limit = grid.smallest, grid.largest, _LARGEST_FLOAT if half is None else largest_finite(half)
    farthest = limit / (largest - smallest)
    kinds = kinds if grid.symmetric else tuple(kind for kind in kinds if kind != "one")
    scale = grid.step
    if kinds:
        most_loss_db = 0.0 if exact else MOST_LOSS_DB
        scale = affordable(scale, grid.high > grid.low, codes, kinds, farthest, most_loss_db).values
    zero = grid.zero_points(scale)
    if (scale <= farthest).all():
        return scale, zero
    reach = np.maximum(largest - zero, zero - smallest)  # steps to the farthest code, which must stay a float
    return np.minimum(scale, np.float32(limit) / reach.astype(np.float32)), zero


def largest_finite(dtype: np.dtype) -> float:
    """The largest value of a floating-point type, bfloat16 included."""
    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


def smallest_normal(dtype: np.dtype) -> float:
    """The smallest positive value that has all its digits; some runtimes read zero for less."""
    return float(ml_dtypes.finfo(dtype).tiny)  # type: ignore[no-untyped-call]
