"""What a run offers to its passes: a store, threads, calibration data, and what is asked of forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nncompress.errors import NoOutputError, reason
from nncompress.forms.form import Storing
from nncompress.model.weights import Weight
from nncompress.numerics.held import Held, Store
from nncompress.passes.statistics import Calibration


@dataclass(frozen=True)
class Context:
    """What a run lends to its passes."""

    storing: Storing
    store: Store = field(default_factory=lambda: _Store())
    threads: int = 1
    draft: bool = False  # nobody keeps the result: statistics that passes could do without are left out
    calibration: Calibration | None = None  # None: there are no calibration data
    adds_in_16_bits: bool = False  # this processor does so with products of 8-bit integers, and the sums saturate
    moves_biases: bool = False  # a pass that needs calibration data may do so
    encodes: bool = False  # a pass stores weights in fewer bits
    remembered: dict[Any, Any] = field(default_factory=dict)
    """what passes found out in other runs on the same samples behind the same passes, by pass"""
    spared: Callable[[Weight], str | None] = lambda weight: None  # why a pass makes no integers of it, where one may


class _Store(Store):
    """One whose full disk is a deliberate error."""

    def hold(self, array: np.ndarray) -> Held:
        try:
            return super().hold(array)
        except OSError as error:
            raise NoOutputError(
                f"cannot write to the temporary folder: {reason(error)} (TMPDIR names another)"
            ) from error
