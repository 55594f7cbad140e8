"""Pass `correct-biases`: biases make up for what compression did to the mean of each result.

    b += E[W x - W' x']

with x the input of a node in the original and x' in the network as it is now, whose earlier biases are corrected
already (Nagel et al., 2019, "Data-free quantization", section 4.2, here with real data and in the order of the graph).
A mean that was measured on few samples is drawn towards 0 by the noise in it. Each step brings its result closer to the
original; where the outputs of the whole do not come closer (large errors, such as those of pruning, may be scaled down
coherently, which this undoes), nothing is moved.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from nncompress.errors import UsageError
from nncompress.model.edit import Names
from nncompress.model.linear import Bias, Linear, find_linears, move_bias
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.moments import Deviation, shrunk
from nncompress.numerics.sqnr import decibels
from nncompress.passes.base import Stage, WeightPass
from nncompress.passes.context import Context
from nncompress.passes.statistics import Calibration, Needs
from nncompress.results.record import Outcome, Rewritten, Skipped


@dataclass(frozen=True)
class CorrectBiases(WeightPass):
    """Moves biases by what compression did to the mean of each result, measured on calibration data.

    Conv, ConvTranspose, Gemm, and MatMul with an Add behind it; in the order of the graph, each against a network whose
    earlier biases are corrected already. Means that differ from sample to sample are corrected by less, and where the
    outputs on the calibration data come out worse, no bias is moved.
    """

    min_size: int = 1
    """leave the biases beside weights with fewer elements alone"""

    name: ClassVar[str] = "correct-biases"
    stage: ClassVar[Stage] = Stage.CORRECTIONS

    @property
    def needs(self) -> Needs:
        return Needs(means=True, least_feeds=2)  # to tell means from noise

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        chosen = {id(weight.value) for weight in weights}
        linears = find_linears(model)
        able = [
            isinstance(linear.bias, Bias) and any(id(weight.value) in chosen for weight in linear.weights)
            for linear in linears
        ]
        effects = [_Effect(linear.bias if isinstance(linear.bias, str) else "") for linear in linears]
        if any(able):
            effects = self._moved(model, linears, able, effects, self._calibration(context))
        by_weight: dict[int, list[_Effect]] = {key: [] for key in chosen}
        for linear, effect in zip(linears, effects, strict=True):
            for weight in linear.weights:
                by_weight.get(id(weight.value), []).append(effect)
        return outcomes + [self._outcome(weight, by_weight[id(weight.value)]) for weight in weights]

    def _moved(
        self, model: Model, linears: list[Linear], able: list[bool], effects: list[_Effect], calibration: Calibration
    ) -> list[_Effect]:
        """Moves biases on a copy first, and then on the model unless that has made its outputs worse."""
        copy = model.clone()
        trial = find_linears(copy)
        places = {id(linear.node): place for place, linear in enumerate(trial)}
        names = Names(copy)
        walked = [linear for linear, is_able in zip(trial, able, strict=True) if is_able]
        with closing(calibration.walk(copy, walked, self.needs)) as walk:
            for linear, deviation in walk:
                effects[places[id(linear.node)]] = _corrected(copy, linear, deviation, names)
        if not any(effect.channels for effect in effects):
            return effects
        without, corrected = calibration.output_errors([model, copy])
        if corrected > without:
            reason = f"moved biases would bring the error of the outputs from {without:.3g} to {corrected:.3g}"
            return [effect.undone(reason) for effect in effects]
        names = Names(model)
        for linear, effect in zip(linears, effects, strict=True):
            if effect.channels and isinstance(linear.bias, Bias):
                move_bias(model, linear.bias, effect.by, names)
        return effects

    def _calibration(self, context: Context) -> Calibration:
        if context.calibration is None:
            raise UsageError(f"{self.name} needs calibration data")
        return context.calibration

    def _outcome(self, weight: Weight, effects: list[_Effect]) -> Outcome:
        """Of all nodes that read the weight."""
        signal, noise = (sum(getattr(effect, name) for effect in effects) for name in ("signal", "noise"))
        sqnr_db = decibels(signal, noise)
        moved = [effect for effect in effects if effect.channels]
        if not moved:
            reasons = dict.fromkeys(effect.reason for effect in effects)
            return Skipped(weight.name, self.name, "; ".join(reasons), sqnr_db)
        channels, largest = sum(effect.channels for effect in moved), max(effect.largest for effect in moved)
        places = "" if len(moved) == 1 else f" at {len(moved)} places"
        detail = f"bias of {channels} channel{'s' * (channels > 1)}{places} moved, by up to {largest:.3g}"
        return Rewritten(weight.name, self.name, detail, output_sqnr_db=sqnr_db)


@dataclass(frozen=True, eq=False)
class _Effect:
    """What was done at one node."""

    reason: str  # why nothing was moved; "": it was
    by: np.ndarray = field(default_factory=lambda: np.zeros(0))  # what was added to the result [channels]
    deviation: Deviation | None = None

    @property
    def channels(self) -> int:
        """How many biases were moved."""
        return int(np.count_nonzero(self.by))

    @property
    def largest(self) -> float:
        return float(np.abs(self.by).max(initial=0))

    @property
    def signal(self) -> float:
        """Sum of the squares of the original result; 0: not measured."""
        return self.deviation.signal if self.deviation is not None else 0.0

    @property
    def noise(self) -> float:
        """Sum of the squares of what the weights of the node add to its result, less what its bias makes up for.

        The bias makes up for what came before the node, too: of the mean, the share counts that was corrected of all.
        """
        if self.deviation is None:
            return 0.0
        moved, alone = self.deviation.moved.mean, self.deviation.alone
        by = self.by if self.channels else np.zeros_like(moved)
        share = np.divide(by, moved, out=np.zeros_like(moved), where=moved != 0)
        return float(alone.squares_less(share).sum())

    def undone(self, reason: str) -> _Effect:
        """The same with its biases as they were."""
        return _Effect(reason, deviation=self.deviation) if self.channels else self


def _corrected(model: Model, linear: Linear, deviation: Deviation | str, names: Names) -> _Effect:
    if isinstance(deviation, str):
        return _Effect(deviation)
    assert isinstance(linear.bias, Bias), "only nodes with a bias are walked to"
    by = shrunk(deviation.moved.mean, deviation.variance)
    if not deviation.moved.squares.any():
        return _Effect("its result is what it was", deviation=deviation)
    if not by.any():
        return _Effect("its mean moved by no more than the noise in it", deviation=deviation)
    if not np.isfinite(linear.bias.moved(by)).all():
        return _Effect(f"its bias would be more than {linear.bias.dtype} can hold", deviation=deviation)
    move_bias(model, linear.bias, by, names)
    return _Effect("", by, deviation)
