"""Pass `correct-biases`: biases make up for what compression did to the mean of each result.

    b += E[W x - W' x']

with x the input of a node in the original and x' in the network as it is now, whose earlier biases are corrected
already (Nagel et al., 2019, "Data-free quantization", section 4.2, here with real data and in the order of the graph).
A mean that was measured on few samples is drawn towards 0 by the noise in it.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nncompress.errors import UsageError
from nncompress.model.edit import Names
from nncompress.model.linear import Linear, find_linears, move_bias
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.moments import shrunk
from nncompress.passes.base import Stage, WeightPass
from nncompress.passes.context import Context
from nncompress.passes.statistics import Calibration, Deviation, Needs
from nncompress.results.record import Outcome, Rewritten, Skipped

FEWEST_FEEDS = 2


@dataclass(frozen=True)
class CorrectBiases(WeightPass):
    """Moves biases by what compression did to the mean of each result, measured on calibration data.

    Conv, ConvTranspose, Gemm, and MatMul with an Add behind it; in the order of the graph, each against a network whose
    earlier biases are corrected already. Means that differ from sample to sample are corrected by less.
    """

    min_size: int = 1
    """leave the biases beside weights with fewer elements alone"""

    name: ClassVar[str] = "correct-biases"
    stage: ClassVar[Stage] = Stage.CORRECTIONS
    needs: ClassVar[Needs] = Needs(means=True)

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        chosen = {id(weight.value) for weight in weights}
        linears = [
            linear for linear in find_linears(model) if any(id(weight.value) in chosen for weight in linear.weights)
        ]
        effects: dict[int, list[_Effect]] = {key: [] for key in chosen}
        able = [linear for linear in linears if not isinstance(linear.bias, str)]
        for linear in linears:
            if isinstance(linear.bias, str):
                _note(effects, linear, _Effect(reason=linear.bias))
        if able:
            names = Names(model)
            with closing(self._calibration(context).walk(model, able, self.needs)) as walk:
                for linear, deviation in walk:
                    _note(effects, linear, _corrected(model, linear, deviation, names))
        return outcomes + [self._outcome(weight, effects[id(weight.value)]) for weight in weights]

    def _calibration(self, context: Context) -> Calibration:
        calibration = context.calibration
        if calibration is None:
            raise UsageError(f"{self.name} needs calibration data")
        if calibration.feeds < FEWEST_FEEDS:
            raise UsageError(
                f"{self.name} needs at least {FEWEST_FEEDS} feeds to tell means from noise; "
                f"the calibration data have {calibration.feeds}"
            )
        return calibration

    def _outcome(self, weight: Weight, effects: list[_Effect]) -> Outcome:
        """Of all nodes that read the weight."""
        signal, noise = (sum(getattr(effect, name) for effect in effects) for name in ("signal", "noise"))
        sqnr_db = 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
        moved = [effect for effect in effects if effect.channels]
        if not moved:
            reasons = dict.fromkeys(effect.reason for effect in effects)
            return Skipped(weight.name, self.name, "; ".join(reasons), sqnr_db)
        channels, largest = sum(effect.channels for effect in moved), max(effect.largest for effect in moved)
        places = "" if len(moved) == 1 else f" at {len(moved)} places"
        detail = f"bias of {channels} channel{'s' * (channels > 1)}{places} moved, by up to {largest:.3g}"
        return Rewritten(weight.name, self.name, detail, output_sqnr_db=sqnr_db)


@dataclass(frozen=True)
class _Effect:
    """What was done at one node."""

    channels: int = 0  # whose bias was moved
    largest: float = 0.0  # by how much
    signal: float = 0.0  # sums of squares of the result, and of what its own weights add to it
    noise: float = 0.0
    reason: str = ""  # why nothing was moved


def _note(effects: dict[int, list[_Effect]], linear: Linear, effect: _Effect) -> None:
    for weight in linear.weights:
        effects.get(id(weight.value), []).append(effect)


def _corrected(model: Model, linear: Linear, deviation: Deviation | str, names: Names) -> _Effect:
    if isinstance(deviation, str):
        return _Effect(reason=deviation)
    assert not isinstance(linear.bias, str), "only nodes with a bias are walked to"
    by = shrunk(deviation.moved.mean, deviation.variance)
    signal, noise = deviation.signal, _noise(deviation, by)
    if not deviation.moved.squares.any():
        return _Effect(reason="its result is what it was", signal=signal)
    if not by.any():
        return _Effect(reason="its mean moved by no more than the noise in it", signal=signal, noise=noise)
    if not np.isfinite(linear.bias.moved(by)).all():
        return _Effect(reason=f"its bias would be more than {linear.bias.dtype} can hold", signal=signal, noise=noise)
    move_bias(model, linear.bias, by, names)
    return _Effect(int(np.count_nonzero(by)), float(np.abs(by).max()), signal, noise)


def _noise(deviation: Deviation, by: np.ndarray) -> float:
    """Sum of squares of what the weights of the node add to its result, less what its bias makes up for.

    The bias makes up for what came before the node, too: of the mean, the share counts that was corrected of all.
    """
    moved, alone = deviation.moved.mean, deviation.alone
    left = 1 - np.divide(by, moved, out=np.zeros_like(moved), where=moved != 0)
    return float((alone.m2 + alone.count * np.square(alone.mean * left)).sum())
