"""Which statistics of activations a pass may ask for, and of whom: it never learns how a model is run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What a pass declares, so that a run without calibration data is refused before any work."""

    means: bool = False
    """means and variances, in the network as it was and as it is now"""

    def __bool__(self) -> bool:
        return self.means
