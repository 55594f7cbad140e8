"""Pass `share-weights`: weights of a tensor share few values, each of which is stored once."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from nncompress.forms.choice import Choice, cheapest
from nncompress.forms.numbers import LEAST_PACKED_OPSET
from nncompress.model.grain import Grain, in_groups, per_tensor
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.channels import Groups
from nncompress.numerics.codebook import Codebook
from nncompress.numerics.denormal import without_tiny
from nncompress.numerics.second_order import CROSSED
from nncompress.numerics.shared import Shared, against, shared
from nncompress.numerics.sqnr import decibels
from nncompress.numerics.tables import tables
from nncompress.passes.base import Stage, unfit
from nncompress.passes.context import Context
from nncompress.passes.encoding import Encoding, asked_grain, attached, block_problem, felt
from nncompress.passes.option_types import GroupSize, Share, zeros_problem
from nncompress.passes.pruning import thinned
from nncompress.passes.rules import RuledPass
from nncompress.passes.second_order import (
    SECOND_ORDER,
    TO_NEAREST,
    Known,
    Method,
    by_products,
    encoded_in_order,
    shared_anew,
)
from nncompress.passes.statistics import BY_OUTPUT, Inputs, Needs
from nncompress.results.record import Outcome

_DB_PER_BIT = 20 * math.log10(2)
_SCALE_BYTES = _HALF_BYTES = 2
_START_BYTES = 4  # of the place of a table
_GROUPS_TRIED, _MOST_GROUPS, _MOST_COST_DB = (8, 32, 128), 256, 1.0
_MOST_BITS_TRIED = 4  # tables of more values take long to find


@dataclass(frozen=True)
class ShareWeights(RuledPass):
    """Lets the weights of a tensor share 2 to 256 values, found by k-means, and stores which one each has.

    The values lie where the weights are, close together where these are many: at the same number of bits the error is
    smaller than that of evenly spaced ones. Where channels differ in magnitude, each has a scale in front of the values
    that all share. Zeros of pruned weights stay zero, and are stored small.
    """

    bits: Literal[1, 2, 3, 4, 5, 6, 7, 8] = 4
    """bits of one index: a weight has 2 to the power of so many values"""
    sparsity: Share = field(default=0.0, metadata={"metavar": "SHARE"})
    """share of the values of each weight that become zero before the others share values, 0 to 1 or in percent: with
    calibration data those without which the others can best make up for the rest (obs), and these do; else the
    smallest. Stored as a mask or as distances"""
    scheme: Literal["k-means", "normal-float", "power-of-two", "piecewise"] = "k-means"
    """which values; k-means: the best for each tensor; or those of a table, times a scale of each channel or block:
    quantiles of a normal distribution (normal-float), powers of two, or evenly spaced ones that are farther apart
    outside than in the middle (piecewise)"""
    granularity: Literal["auto", "channel", "tensor"] = field(default="auto", metadata={"option": "--per"})
    """a scale for each output channel before the values that all share, or the values alone (tables: one scale); auto:
    whichever pays, and with tables a scale for each channel"""
    block: int | None = None
    """a scale for each block of so many inputs of a channel, or the most below that which divide them"""
    group_channels: GroupSize = field(default="all", metadata={"metavar": "N|auto|all"})
    """a table of values for each N output channels in a row (or the most below that which divide them), or one for all;
    auto: groups where they pay, of up to 4 bits"""
    method: Method = "auto"
    """how codes are chosen: each value by the nearest in the table (rtn), or, where there are calibration data, so that
    what the weight computes moves least (gptq); not for groups of channels. auto: gptq below 8 bits"""
    only_if_smaller: bool = field(default=True, metadata={"option": "--only-if-smaller/--even-if-larger"})
    """leave weights alone whose values and decoding nodes would eat the gain"""

    name: ClassVar[str] = "share-weights"
    stage: ClassVar[Stage] = Stage.ENCODINGS

    def problem(self) -> str | None:
        if isinstance(self.group_channels, int) and self.scheme != "k-means":
            return f"group_channels is for tables of its own, and {self.scheme} has given ones: leave it out"
        wrong = block_problem(self.block, self.granularity) or zeros_problem(self.sparsity)
        return wrong or super().problem()

    @property
    def uses(self) -> Needs:
        return Needs(inputs=True, grams=any(variant._by_products for variant in self.variants()))

    @property
    def _by_products(self) -> bool:
        """Whether products of the inputs of a weight are to choose its codes, or its zeros."""
        return by_products(self.method, self.bits) or self.sparsity > 0

    def needed_opset(self, form: str) -> tuple[int, str]:
        return LEAST_PACKED_OPSET, f"indices cannot be packed before opset {LEAST_PACKED_OPSET}"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        counts = felt(model, weights, context)
        for weight, made in encoded_in_order(
            model, weights, counts, lambda weight: self.of(weight)._by_products,
            lambda weight, known: self.of(weight)._shared(weight, known, context), context,
        ):  # fmt: skip
            outcomes.append(attached(weight, made, self.name, context, only_if_smaller=self.of(weight).only_if_smaller))
        return outcomes

    def _shared(self, weight: Weight, known: Known, context: Context) -> str | Encoding:
        """What it becomes; or the reason to leave it alone."""
        array = weight.array()
        reason = unfit(array)
        if reason:
            return reason
        exact = array
        array = without_tiny(array)
        if self.sparsity:
            array = thinned(weight, array, self.sparsity, known)
        best = self._best(weight, array.astype(np.float32, copy=False), known.importance, context)
        if best.codebook.group_axis is not None and isinstance(known.inputs, Inputs):
            known = replace(known, inputs="groups of channels have tables of their own")
        if isinstance(known.inputs, Inputs) and by_products(self.method, self.bits):
            crossed = 0.0 if self.sparsity else CROSSED  # what is left made up for that already
            best = shared_anew(array, best, known.inputs, known.threads, context.store, crossed)
        if self.sparsity:
            best = against(exact, best)
        codebook = replace(best.codebook, shape=weight.shape)
        scales = "" if codebook.scale is None else f", {codebook.scale.size} scales"
        tables = "" if codebook.group_axis is None else f" in each of {len(codebook.values)} groups of channels"
        zeros = f", {1 - codebook.nonzeros / weight.size:.0%} zeros" if self.sparsity else ""
        by_output = "" if known.importance is None else f", {BY_OUTPUT}"
        values = f"{codebook.values.shape[-1]} values{zeros}{tables}{scales}"
        return Encoding(codebook, f"{values}{by_output}{known.said(SECOND_ORDER, TO_NEAREST)}", best.sqnr_db)

    def _best(self, weight: Weight, array: np.ndarray, importance: np.ndarray | None, context: Context) -> Shared:
        """With scales and in groups where that was asked for, or pays."""
        fine, made = asked_grain(weight, "channel", self.block), functools.partial(self._on, array, importance, context)
        grains = [asked_grain(weight, self.granularity, self.block)]
        if self.granularity == "auto" and self.block is None and self.scheme == "k-means":
            grains = [per_tensor(weight), fine]
        asked = in_groups(fine, self.group_channels) if isinstance(self.group_channels, int) else None
        best, *scaled = [made(grain if asked is None else _alike(grain, fine), asked) for grain in grains]
        best = next((one for one in scaled if _pays(best, one)), best)
        if self.group_channels != "auto" or self.scheme != "k-means" or self.bits > _MOST_BITS_TRIED:
            return best
        cost_db = _Cost(weight, best.codebook, context)
        least, least_db = best, 0.0
        for groups in _groups_to_try(fine, 2**self.bits, cost_db):
            for grain in grains:
                one = made(_alike(grain, fine), groups)
                net_db = cost_db.of(one.codebook) - _gain_db(best, one)
                if net_db < least_db:
                    least, least_db = one, net_db
        return least

    def _on(
        self, array: np.ndarray, importance: np.ndarray | None, context: Context, grain: Grain, groups: Groups | None
    ) -> Shared:
        return shared(
            array.reshape(grain.shape), grain.channel_axes, count=2**self.bits, store=context.store,
            tables=() if self.scheme == "k-means" else tables(self.scheme, self.bits),
            importance=None if importance is None else grain.fitted(importance), groups=groups,
        )  # fmt: skip


def _pays(plain: Shared, scaled: Shared) -> bool:
    """True if the scales of `scaled` lower the error by more than as many bytes of indices would."""
    scale, size = scaled.codebook.scale, math.prod(plain.codebook.shape)
    if scale is None:
        return False
    return _gain_db(plain, scaled) > _DB_PER_BIT * 8 * _SCALE_BYTES * scale.size / max(1, size)


def _gain_db(before: Shared, after: Shared) -> float:
    """By how much the error is smaller; infinite where nothing is left of it."""
    if after.weighted_noise == 0:
        return math.inf if before.weighted_noise else 0.0
    return decibels(before.weighted_noise, after.weighted_noise) or 0.0


def _alike(grain: Grain, fine: Grain) -> Grain:
    """`grain` in the shape in which outputs have axes of their own."""
    return replace(fine, channel_axes=()) if not grain.channel_axes else grain


class _Cost:
    """What bytes beside those of a codebook would be worth as bits of its indices, in decibels."""

    def __init__(self, weight: Weight, codebook: Codebook, context: Context) -> None:
        self._weight, self._storing = weight, context.storing
        choice = self._choice(codebook)
        self._before = choice.total_bytes
        self._db_per_byte = _DB_PER_BIT * codebook.bits / max(1, choice.layout.size_bytes)

    def _choice(self, codebook: Codebook) -> Choice:
        return cheapest(self._weight, replace(codebook, shape=self._weight.shape), self._storing)

    def of_bytes(self, count: int) -> float:
        return self._db_per_byte * count

    def of(self, codebook: Codebook) -> float:
        return self.of_bytes(self._choice(codebook).total_bytes - self._before)


def _groups_to_try(fine: Grain, values: int, cost: _Cost) -> Iterator[Groups]:
    """Those whose tables do not cost more than they ever gain."""
    found = (in_groups(fine, most) for most in _GROUPS_TRIED)
    for groups in dict.fromkeys(one for one in found if one is not None):
        count = fine.shape[groups.axis] // groups.size
        if count <= _MOST_GROUPS and cost.of_bytes(count * (_HALF_BYTES * values + _START_BYTES)) <= _MOST_COST_DB:
            yield groups
