"""Rounding of activations: one scale and one zero point for a whole tensor, so that 0 stays exactly 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LARGEST = 255
_LEAST_SPAN = float(np.finfo(np.float32).tiny) * _LARGEST


@dataclass(frozen=True)
class Rounding:
    """x ~ scale * (q - zero_point) with q of 0 to 255 (uint8), beyond which values are clipped."""

    scale: float
    zero_point: int

    @property
    def low(self) -> float:
        """The least value that is not clipped."""
        return -self.scale * self.zero_point

    @property
    def high(self) -> float:
        """The greatest one."""
        return self.scale * (_LARGEST - self.zero_point)


def rounding_for(low: float, high: float) -> Rounding:
    """The one whose codes reach from `low` to `high` (finite), drawn out to hold 0; the scale is a float32.

    The zero point is a whole number, as which the end that lies nearer to 0 may be clipped by up to half a step.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max(high - low, _LEAST_SPAN) / _LARGEST))
    return Rounding(scale, int(np.clip(np.rint(-low / scale), 0, _LARGEST)))
