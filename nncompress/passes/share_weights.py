"""Pass `share-weights`: weights of a tensor share few values, each of which is stored once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from nncompress.forms.numbers import LEAST_PACKED_OPSET
from nncompress.model.grain import Grain, per_tensor
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.shared import Shared, shared
from nncompress.numerics.sqnr import decibels
from nncompress.numerics.tables import tables
from nncompress.passes.base import Stage, unfit
from nncompress.passes.context import Context
from nncompress.passes.encoding import Encoding, asked_grain, attached, block_problem, felt
from nncompress.passes.parallel import in_parallel
from nncompress.passes.rules import RuledPass
from nncompress.passes.statistics import BY_OUTPUT, Needs
from nncompress.results.record import Outcome

_DB_PER_BIT = 20 * math.log10(2)
_SCALE_BYTES = 2


@dataclass(frozen=True)
class ShareWeights(RuledPass):
    """Lets the weights of a tensor share 2 to 256 values, found by k-means, and stores which one each has.

    The values lie where the weights are, close together where these are many: at the same number of bits the error is
    smaller than that of evenly spaced ones. Where channels differ in magnitude, each has a scale in front of the values
    that all share. Zeros of pruned weights stay zero, and are stored small.
    """

    bits: Literal[1, 2, 3, 4, 5, 6, 7, 8] = 4
    """bits of one index: a weight has 2 to the power of so many values"""
    scheme: Literal["k-means", "normal-float", "power-of-two", "piecewise"] = "k-means"
    """which values; k-means: the best for each tensor; or those of a table, times a scale of each channel or block:
    quantiles of a normal distribution (normal-float), powers of two, or evenly spaced ones that are farther apart
    outside than in the middle (piecewise)"""
    granularity: Literal["auto", "channel", "tensor"] = field(default="auto", metadata={"option": "--per"})
    """a scale for each output channel before the values that all share, or the values alone (tables: one scale); auto:
    whichever pays, and with tables a scale for each channel"""
    block: int | None = None
    """a scale for each block of so many inputs of a channel, or the most below that which divide them"""
    only_if_smaller: bool = field(default=True, metadata={"option": "--only-if-smaller/--even-if-larger"})
    """leave weights alone whose values and decoding nodes would eat the gain"""

    name: ClassVar[str] = "share-weights"
    stage: ClassVar[Stage] = Stage.ENCODINGS

    def problem(self) -> str | None:
        return block_problem(self.block, self.granularity) or super().problem()

    @property
    def uses(self) -> Needs:
        return Needs(inputs=True)

    def needed_opset(self, form: str) -> tuple[int, str]:
        return LEAST_PACKED_OPSET, f"indices cannot be packed before opset {LEAST_PACKED_OPSET}"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        counts = felt(model, weights, context)
        for weight, made in in_parallel(
            weights, lambda weight: self.of(weight)._shared(weight, counts.get(weight.value), context), context.threads
        ):
            outcomes.append(attached(weight, made, self.name, context, only_if_smaller=self.of(weight).only_if_smaller))
        return outcomes

    def _shared(self, weight: Weight, importance: np.ndarray | None, context: Context) -> str | Encoding:
        """What it becomes; or the reason to leave it alone."""
        array = weight.array()
        reason = unfit(array)
        if reason:
            return reason
        array = array.astype(np.float32, copy=False)
        best = self._on(array, asked_grain(weight, self.granularity, self.block), importance, context)
        if self.granularity == "auto" and self.block is None and self.scheme == "k-means":
            plain = self._on(array, per_tensor(weight), importance, context)
            best = best if _pays(plain, best) else plain
        codebook = replace(best.codebook, shape=weight.shape)
        scales = "" if codebook.scale is None else f", {codebook.scale.size} scales"
        by_output = "" if importance is None else f", {BY_OUTPUT}"
        return Encoding(codebook, f"{len(codebook.values)} values{scales}{by_output}", best.sqnr_db)

    def _on(self, array: np.ndarray, grain: Grain, importance: np.ndarray | None, context: Context) -> Shared:
        return shared(
            array.reshape(grain.shape), grain.channel_axes, count=2**self.bits, store=context.store,
            tables=() if self.scheme == "k-means" else tables(self.scheme, self.bits),
            importance=None if importance is None else grain.fitted(importance),
        )  # fmt: skip


def _pays(plain: Shared, scaled: Shared) -> bool:
    """True if the scales of `scaled` lower the error by more than as many bytes of indices would."""
    scale, size = scaled.codebook.scale, math.prod(plain.codebook.shape)
    if scale is None:
        return False
    gain_db = decibels(plain.weighted_noise, scaled.weighted_noise)
    if gain_db is None:
        return scaled.weighted_noise < plain.weighted_noise
    return gain_db > _DB_PER_BIT * 8 * _SCALE_BYTES * scale.size / max(1, size)
