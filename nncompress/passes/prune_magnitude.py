"""Pass `prune-magnitude`: the smallest weights become zero, and zeros are stored small."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from nncompress.forms.choice import cheapest, saves
from nncompress.forms.layouts import LEAST_OPSET
from nncompress.model.encoding import attach
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.magnitude import Kept, global_threshold, keep_above, keep_largest, lamp_shares
from nncompress.numerics.sparse import Pruned
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.context import Context
from nncompress.passes.option_types import Share
from nncompress.passes.parallel import in_parallel
from nncompress.results.record import Outcome, Rewritten, Skipped

_NOTHING = "no value is small enough to become zero"


@dataclass(frozen=True)
class PruneMagnitude(WeightPass):
    """Sets the smallest weights to zero.

    Zeros are stored as a bit mask or as distances between the others where that is smaller, and unpacked when a
    session is made: the file shrinks, speed does not change. Pruned weights can be quantized afterwards.
    """

    sparsity: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of zeros, 0 to 1 or in percent; 0.5 unless a threshold is given; at 0 only the zeros that are there are
    stored small"""
    threshold: float | None = None
    """every value of a smaller magnitude becomes zero"""
    scope: Literal["lamp", "weight", "global"] = "lamp"
    """what the share is of; lamp: all weights together, apportioned so that sensitive ones lose less; weight: each of
    them; global: all together, by plain magnitude"""
    min_size: int = 1024
    """leave weights with fewer elements alone"""
    only_if_smaller: bool = field(default=True, metadata={"option": "--only-if-smaller/--even-if-larger"})
    """leave weights alone whose zeros could not be stored smaller"""

    name: ClassVar[str] = "prune-magnitude"
    stage: ClassVar[Stage] = Stage.VALUES

    def problem(self) -> str | None:
        if self.sparsity is not None and self.threshold is not None:
            return "give a sparsity or a threshold, not both"
        if self.sparsity is not None and not 0 <= self.sparsity < 1:
            return f"sparsity must lie between 0 and 1, not at {self.sparsity}"
        if self.threshold is not None and not self.threshold > 0:
            return f"threshold must be above 0, not {self.threshold}"
        if self.threshold is not None and self.scope == "global":
            return "a threshold is the same for all weights anyway: leave scope out"
        return None

    def needed_opset(self, form: str) -> tuple[int, str]:
        opset = LEAST_OPSET["sparse-mask"]
        return opset, f"zeros cannot be stored small before opset {opset}"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        limit, shares = self._limit(weights), self._shares(weights)
        pruned = in_parallel(weights, lambda weight: self._kept(weight, limit, shares[id(weight)]), context.threads)
        for weight, kept in pruned:
            if isinstance(kept, str):
                outcomes.append(Skipped(weight.name, self.name, kept))
            elif kept.nonzeros == weight.size:
                outcomes.append(Skipped(weight.name, self.name, _NOTHING))
            else:
                held = context.store.hold(kept.values.astype(weight.dtype.numpy(), copy=False))
                outcomes.append(self._attached(weight, Pruned(held, weight.shape, kept.nonzeros), kept, context))
        return outcomes

    def _attached(self, weight: Weight, pruned: Pruned, kept: Kept, context: Context) -> Outcome:
        """Attaches the zeros, old and new, unless they would be stored as they are and gain nothing."""
        is_new, pays = kept.nonzeros < kept.nonzeros_before, saves(weight, cheapest(weight, pruned, context.storing))
        if not pays and (self.only_if_smaller or not is_new):
            return Skipped(weight.name, self.name, _no_gain(context.storing.opset) if is_new else _NOTHING)
        attach(weight, pruned)
        share = f"{1 - kept.nonzeros / weight.size:.1%} zeros"
        return Rewritten(
            weight.name, self.name, share if is_new else f"{share}, all of them there before", kept.sqnr_db
        )

    def _limit(self, weights: list[Weight]) -> float | None:
        """The magnitude below which values become zero, where it is the same for all weights."""
        if self.threshold is not None or self.scope != "global":
            return self.threshold
        return 0.0 if self._share() == 0 else global_threshold((weight.array for weight in weights), self._share())

    def _shares(self, weights: list[Weight]) -> dict[int, float]:
        """The share of zeros of each weight, by its id; not used where there is a limit."""
        if self.scope != "lamp" or self.threshold is not None or self._share() == 0:
            return {id(weight): self._share() for weight in weights}
        shares = lamp_shares((weight.array for weight in weights), self._share())
        return {id(weight): share for weight, share in zip(weights, shares, strict=True)}

    def _share(self) -> float:
        return 0.5 if self.sparsity is None else self.sparsity

    def _kept(self, weight: Weight, limit: float | None, share: float) -> str | Kept:
        """What is left of it; or the reason to leave it alone."""
        array = weight.array()
        reason = unfit(array)
        if reason:
            return reason
        return keep_largest(array, share) if limit is None else keep_above(array, limit)


def _no_gain(opset: int) -> str:
    least = LEAST_OPSET["sparse-mask"]
    if opset < least:
        return f"zeros are stored small from opset {least} on, and this model has {opset}"
    return "zeros would not make it smaller: it is too small, or too few of its values are"
