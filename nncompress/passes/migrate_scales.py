"""Pass `migrate-scales`: channels with large values hand their magnitude on to the weights, before both are rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nncompress.errors import UsageError
from nncompress.model.edit import Names
from nncompress.model.model import Model
from nncompress.model.shared_data import SharedData, find_shared_data, move_scales
from nncompress.numerics.migration import Channels, Migration, best_migration
from nncompress.passes.base import Stage, WeightPass
from nncompress.passes.context import Context
from nncompress.passes.statistics import Needs
from nncompress.results.record import Outcome, Rewritten, Skipped


@dataclass(frozen=True)
class MigrateScales(WeightPass):
    """Divides the channels of what weights are multiplied with, and multiplies the weights, so that both round better.

    For Conv, Gemm and MatMul, all that read one tensor (query, key, value) together. What the network computes stays
    the same: the factors go into the normalisation, or into the weight and bias, in front. Where something else reads
    the tensor, too, as in transformers that normalise behind residual connections, MatMul and Gemm take one Mul more.
    """

    gain_db: float = 1.0
    """how many decibels smaller the error of the products has to become, by ranges measured on calibration data"""
    multiply_gain_db: float = 2.0
    """the same where it takes one Mul more"""

    name: ClassVar[str] = "migrate-scales"
    stage: ClassVar[Stage] = Stage.SCALES
    useless_without: ClassVar[str | None] = "quantize-activations"

    @property
    def needs(self) -> Needs:
        return Needs(channels=True)

    def problem(self) -> str | None:
        least = min(self.gain_db, self.multiply_gain_db)
        return None if least >= 0 else f"gain_db and multiply_gain_db must not be below 0, not {least:g}"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        groups, reasons = find_shared_data(model, weights)
        outcomes += [Skipped(name, self.name, reason) for name, reason in reasons.items()]
        if groups and context.calibration is None:
            raise UsageError(f"{self.name} needs calibration data")
        data = [group.data for group in groups]
        known = context.calibration.channels(model, data) if context.calibration is not None and groups else []
        new = Names(model)
        for group, channels in zip(groups, known, strict=True):
            migration = self._migration(group, channels)
            if isinstance(migration, str):
                outcomes += [Skipped(weight.name, self.name, migration) for weight in group.weights]
                continue
            move_scales(model, group, migration.factor, new)
            outcomes += [Rewritten(weight.name, self.name, _said(group, migration)) for weight in group.weights]
        return outcomes

    def _migration(self, group: SharedData, channels: Channels | str) -> Migration | str:
        """Which one; or why none."""
        if isinstance(channels, str):
            return f"what it is multiplied by cannot be looked at: {channels}"
        if group.takes_mul and group.data.axis == 1:
            return "something else reads what it is multiplied by, or nothing in front of that can be scaled"
        if len(channels.squares) != group.channels:
            return "what it is multiplied by has other channels than the weight"
        best = best_migration(channels, group.by_group())
        least = self.multiply_gain_db if group.takes_mul else self.gain_db
        gain_db = 0.0 if best is None else best.gain_db
        if best is None or gain_db < least:
            how = " that takes one Mul more" if group.takes_mul else ""
            return (
                f"a scale{how} would make the error of the product {gain_db:.1f} dB smaller, and {least:g} is asked for"
            )
        return best


def _said(group: SharedData, migration: Migration) -> str:
    before = "" if group.takes_mul else str(group.places[0].value.name)
    where = f"from {before}" if before else "by one Mul more"
    shared = f", shared by {len(group.weights)}" if len(group.weights) > 1 else ""
    return f"scales taken over {where} (exponent {migration.exponent:g}, {migration.gain_db:.1f} dB{shared})"
