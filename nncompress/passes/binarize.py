"""Pass `binarize`: weights become sums of a few signs, of one bit each, with scales."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from nncompress.forms.numbers import LEAST_PACKED_OPSET
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.binary import binarized
from nncompress.passes.base import Stage, unfit
from nncompress.passes.context import Context
from nncompress.passes.encoding import Encoding, asked_grain, attached, block_problem, felt
from nncompress.passes.parallel import in_parallel
from nncompress.passes.rules import RuledPass
from nncompress.passes.statistics import BY_OUTPUT, Needs
from nncompress.results.record import Outcome


@dataclass(frozen=True)
class Binarize(RuledPass):
    """Stores each weight as the sum of 1 to 4 signs, each with a scale of its channel: one bit a weight for each.

    One term for all weights ruins most networks; it is meant for single layers (--include). Two terms are about as good
    as 2 bits with the best values, three and four better than as many bits of evenly spaced values. Computation stays
    in floating point.
    """

    terms: Literal[1, 2, 3, 4] = 2
    """signs, and so bits, of a weight"""
    granularity: Literal["channel", "tensor"] = field(default="channel", metadata={"option": "--per"})
    """scales for each output channel, or for the whole tensor"""
    block: int | None = None
    """scales for each block of so many inputs of a channel, or the most below that which divide them"""
    only_if_smaller: bool = field(default=True, metadata={"option": "--only-if-smaller/--even-if-larger"})
    """leave weights alone whose scales and decoding nodes would eat the gain"""

    name: ClassVar[str] = "binarize"
    stage: ClassVar[Stage] = Stage.ENCODINGS

    def problem(self) -> str | None:
        return block_problem(self.block, self.granularity) or super().problem()

    @property
    def uses(self) -> Needs:
        return Needs(inputs=True)

    def needed_opset(self, form: str) -> tuple[int, str]:
        return LEAST_PACKED_OPSET, f"bits cannot be packed before opset {LEAST_PACKED_OPSET}"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        counts = felt(model, weights, context)
        for weight, made in in_parallel(
            weights,
            lambda weight: self.of(weight)._binarized(weight, counts.get(weight.value), context),
            context.threads,
        ):
            outcomes.append(attached(weight, made, self.name, context, only_if_smaller=self.of(weight).only_if_smaller))
        return outcomes

    def _binarized(self, weight: Weight, importance: np.ndarray | None, context: Context) -> str | Encoding:
        """What it becomes; or the reason to leave it alone."""
        array = weight.array()
        reason = unfit(array)
        if reason:
            return reason
        grain = asked_grain(weight, self.granularity, self.block)
        made = binarized(
            array.reshape(grain.shape), grain.channel_axes, terms=self.terms, store=context.store,
            importance=None if importance is None else grain.fitted(importance),
        )  # fmt: skip
        signs = replace(made.signs, shape=weight.shape)
        by_output = "" if importance is None else f", {BY_OUTPUT}"
        said = f"{self.terms} sign{'s' * (self.terms > 1)} a weight, {signs.scales.size} scales{by_output}"
        return Encoding(signs, said, made.sqnr_db)
