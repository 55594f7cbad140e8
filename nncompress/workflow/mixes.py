"""What was measured of a mix of ways to compute, and what loss is allowed on calibration data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from nncompress.model.units import Unit
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.limits import Limits
from nncompress.results.record import Run
from nncompress.results.searched import Loss
from nncompress.results.worst import answers_changed, worst_cosine, worst_sqnr_db

Way = Literal["float", "dynamic", "static"]
Mix = Mapping[Unit, Way]
"""How each unit is computed; those that are not in it, in floating point."""

_LEAST_SQNR_DB, _LEAST_DB_OF_CHOICES = 25.0, 10.0
_MOST_CHANGED = 0.005  # share of answers that may be other ones, where nothing else is allowed
BALANCED, FASTEST = 0.02, 0.002  # what a dB is worth, of speed: two percent, or what is lost in the noise of latencies
_ENOUGH_DB = 35.0


@dataclass(frozen=True)
class Tried:
    """One whole model."""

    mix: Mix
    ratio: float  # of latency, new / old
    loss: Loss

    @property
    def speed(self) -> str:
        """For people."""
        return f"{1 / self.ratio:.2f}x as fast as the original"

    def worth(self, of_decibel: float) -> float:
        """In logarithms of speed; `of_decibel`: such as BALANCED."""
        return -math.log(self.ratio) + of_decibel * min(self.loss.sqnr_db, _ENOUGH_DB)


def loss_of(run: Run) -> Loss:
    """That of the worst outputs."""
    sqnr, cosine = worst_sqnr_db(run), worst_cosine(run)
    known = [changed[0] for changed in map(answers_changed, run.outputs) if changed is not None]
    return Loss(
        math.inf if sqnr is None else sqnr.value, 1.0 if cosine is None else cosine.value,
        max(known, default=None),
    )  # fmt: skip


def exact_loss_of(run: Run) -> Loss:
    """The same where no integer kernel has rounded weights besides: onnxruntime rounds those that are floats, with one
    scale for all, where it finds rounded data."""
    outputs = (replace(output, deployed=output.exact or output.deployed) for output in run.outputs)
    return loss_of(replace(run, outputs=tuple(outputs)))


def in_half(step: QuantizeWeights) -> QuantizeWeights:
    """For the same weights, and the same graph around them, with values that are as good as exact."""
    return QuantizeWeights(include=step.include, exclude=step.exclude, min_size=step.min_size, dtype="float16")


def allows(limits: Limits, loss: Loss, plain: Loss) -> bool:
    """True for a loss that is allowed; `plain` is that of weights alone."""
    if limits.min_sqnr is not None or limits.min_cosine is not None:
        least_db = -math.inf if limits.min_sqnr is None else limits.min_sqnr
        return loss.sqnr_db >= least_db and loss.cosine >= (-1.0 if limits.min_cosine is None else limits.min_cosine)
    if loss.sqnr_db >= min(_LEAST_SQNR_DB, plain.sqnr_db - 1.0):
        return True
    most = _MOST_CHANGED if limits.max_drop is None else limits.max_drop
    same = loss.changed is not None and loss.changed <= max(most, plain.changed or 0.0)
    return same and loss.sqnr_db >= min(_LEAST_DB_OF_CHOICES, plain.sqnr_db - 1.0)
