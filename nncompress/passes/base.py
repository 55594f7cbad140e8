"""What every pass is: a frozen dataclass whose fields are its options, and one method that decides weight by weight.

A pass changes weights (new values, or an encoding attached) or the float graph, and returns one Outcome for every
weight that it considered. It does no I/O, prints nothing, and never runs a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.passes.context import Context
from nncompress.passes.select import check_globs, matches
from nncompress.results.record import Outcome, Skipped

LARGEST_VALUE, SMALLEST_VALUE = float(np.finfo(np.float32).max), 1e-35  # that float32 scales and factors can express


@dataclass(frozen=True)
class Pass(ABC):
    """Base of all passes: which weights it may touch."""

    include: tuple[str, ...] = ()
    """only weights whose name, or a reading node's name, matches one of these globs"""
    exclude: tuple[str, ...] = ()
    """not the weights whose name, or a reading node's name, matches one of these globs"""
    min_size: int = 64
    """leave weights with fewer elements alone"""

    name: ClassVar[str]
    stage: ClassVar[int]
    """passes must run in ascending order: 1 changes the graph, 2 changes values, 3 encodes them"""

    @abstractmethod
    def apply(self, model: Model, context: Context) -> list[Outcome]:
        """Changes `model` in place and says what was done to each weight considered."""

    def problem(self) -> str | None:
        """What is wrong with the options; None if they can be used."""
        return None

    def select(self, model: Model) -> tuple[list[Weight], list[Outcome]]:
        """The weights to work on, and those left alone with the reason. Raises UsageError for a glob without match."""
        weights = find_weights(model)
        check_globs((*self.include, *self.exclude), weights)
        chosen: list[Weight] = []
        skipped: list[Outcome] = []
        for weight in weights:
            reason = self._reason_against(weight)
            if reason is None:
                chosen.append(weight)
            else:
                skipped.append(Skipped(weight.name, self.name, reason))
        return chosen, skipped

    def _reason_against(self, weight: Weight) -> str | None:
        if self.include and not matches(weight, self.include):
            return "not included"
        if matches(weight, self.exclude):
            return "excluded"
        if weight.barrier:
            return weight.barrier
        if weight.size < max(1, self.min_size):
            return f"fewer than {self.min_size} elements (--min-size)"
        return None


def unfit(array: np.ndarray) -> str | None:
    """Why a weight with these values (not none) stays exactly as it is; None if it can be compressed."""
    low, high = float(array.min()), float(array.max())
    largest = max(-low, high)
    if not np.isfinite([low, high]).all():
        return "holds infinite values or NaN, which stay exact"
    if largest > LARGEST_VALUE:
        return "holds values beyond the range of float32"
    if 0 < largest < SMALLEST_VALUE:
        return f"all its values are below {SMALLEST_VALUE:g}, where float32 has no digits left"
    return None
