"""Pass `quantize-weights`: weights become 8-bit integers with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nncompress.forms import folded
from nncompress.model.encoding import attach
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Quantized, Range, quantize
from nncompress.numerics.equalise import equalised
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.context import Context
from nncompress.passes.parallel import in_parallel
from nncompress.results.record import Outcome, Rewritten, Skipped


@dataclass(frozen=True)
class QuantizeWeights(WeightPass):
    """Stores each weight as 8-bit integers with a scale (and a zero point): about a quarter of the size.

    Computation stays in floating point, so speed does not change. One scale for each output channel keeps the error
    small; tables that are looked up get one scale a row.
    """

    bits: Literal[8] = 8
    """bits of one weight"""
    dtype: Literal["int8", "uint8"] = "int8"
    """type of the integers"""
    symmetric: bool = True
    """zero point in the middle; otherwise the range of the values is used in full"""
    granularity: Literal["channel", "tensor"] = "channel"
    """one scale for each output channel, or one for the whole tensor"""
    range: Range = "mse"
    """minmax: nothing is clipped; mse: clipped where the squared error is least"""

    equalise: bool = True
    """a second scale along the input axis for weights with outliers there (symmetric int8 only)"""
    only_if_smaller: bool = True
    """leave weights alone whose scales and decoding nodes would eat the gain"""

    name: ClassVar[str] = "quantize-weights"
    stage: ClassVar[Stage] = Stage.ENCODINGS

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        worth = []
        for weight in weights:
            reason = self._too_small(weight) if self.only_if_smaller else None
            if reason:
                outcomes.append(Skipped(weight.name, self.name, reason))
            else:
                worth.append(weight)
        for weight, made in in_parallel(worth, lambda weight: self._quantized(weight, context), context.threads):
            if isinstance(made, str):
                outcomes.append(Skipped(weight.name, self.name, made))
            else:
                attach(weight, made.affine)
                second = ", equalised" if made.affine.input_scale is not None else ""
                outcomes.append(Rewritten(weight.name, self.name, self._detail(weight) + second, made.sqnr_db))
        return outcomes

    def _axes(self, weight: Weight) -> tuple[int, ...]:
        return weight.channel_axes if self.granularity == "channel" else ()

    def _too_small(self, weight: Weight) -> str | None:
        """The reason against a weight whose scales and nodes would eat the gain; numbers of scales decide."""
        scales = int(np.prod([weight.shape[axis] for axis in self._axes(weight)], dtype=np.int64))
        after = weight.size + folded.size_bytes(scales, zero_points=not self.symmetric)
        before = weight.tensor.nbytes
        if after < before:
            return None
        return f"scales and decoding nodes would eat the gain ({before} bytes would become about {after})"

    def _quantized(self, weight: Weight, context: Context) -> str | Quantized:
        """What it becomes; or the reason to leave it alone."""
        array, dtype = weight.array(), weight.dtype.numpy()
        reason = unfit(array)
        if reason:
            return reason
        axes, signed = self._axes(weight), self.dtype == "int8"
        made = quantize(
            array, axes, bits=self.bits, signed=signed, symmetric=self.symmetric, range_=self.range,
            store=context.store, dtype=dtype,
        )  # fmt: skip
        axis = weight.input_axis
        if not (self.equalise and signed and self.symmetric) or self.granularity == "tensor" or axis is None:
            return made
        return equalised(
            array, made, axes, axis, bits=self.bits, range_=self.range, store=context.store, dtype=dtype
        )  # fmt: skip

    def _detail(self, weight: Weight) -> str:
        axes = self._axes(weight)
        grain = f"per channel (axis {', '.join(map(str, axes))})" if axes else "per tensor"
        return f"{self.dtype}, {'symmetric' if self.symmetric else 'asymmetric'}, {grain}"
