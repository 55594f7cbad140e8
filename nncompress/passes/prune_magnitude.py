"""Pass `prune-magnitude`: weights that matter least become zero, and zeros are stored small."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from nncompress.forms.choice import cheapest, saves
from nncompress.forms.layouts import LEAST_OPSET
from nncompress.model.encoding import attach
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.magnitude import Kept, global_threshold, keep_above, keep_largest, lamp_shares
from nncompress.numerics.sparse import Pruned
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.context import Context
from nncompress.passes.encoding import felt
from nncompress.passes.option_types import Share
from nncompress.passes.pruning import Pattern, cut_apart, kept_in_pattern, pruned_by_output
from nncompress.passes.second_order import OBS, Known, encoded_in_order
from nncompress.passes.statistics import Inputs, Needs
from nncompress.results.record import Outcome, Rewritten, Skipped

_NOTHING = "no value is small enough to become zero"


@dataclass(frozen=True)
class PruneMagnitude(WeightPass):
    """Sets the smallest weights to zero, or those that matter least to what is computed.

    With calibration data, those become zero without which the others can best make up for the rest, and these do. Zeros
    are stored as a bit mask or as distances between the others where that is smaller, and unpacked when a session is
    made: the file shrinks, speed does not change. Pruned weights can be quantized afterwards.
    """

    sparsity: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of zeros, 0 to 1 or in percent; 0.5 unless a threshold is given; at 0 only the zeros that are there are
    stored small"""
    threshold: float | None = None
    """every value of a smaller magnitude becomes zero"""
    scope: Literal["lamp", "weight", "global"] = "lamp"
    """what the share is of; lamp: all weights together, apportioned so that sensitive ones lose less (with calibration
    data, by what they are multiplied by as well); weight: each of them; global: all together, by plain magnitude"""
    pattern: str | None = field(default=None, metadata={"metavar": "N:M"})
    """at most N of every M values along the inputs are not zero, such as 2:4; instead of a share"""
    method: Literal["auto", "magnitude", "wanda", "entropy", "obs"] = "auto"
    """which values become zero; magnitude: the smallest; wanda: in each output the smallest times the root mean square
    of what they are multiplied by; entropy: times the root of what that adds to the entropy of how power is shared out
    among inputs; obs: zeros come in steps, and what stays makes up for them, weight by weight in the order of the
    graph, each against the network as it is by then. auto: obs where there are calibration data, else magnitude"""
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
        if self.pattern is not None and Pattern.of(self.pattern) is None:
            return f"pattern must be N:M with N below M, such as 2:4, not {self.pattern!r}"
        if self.pattern is not None and (self.sparsity, self.threshold, self.scope) != (None, None, "lamp"):
            return "a pattern says how many zeros there are: leave sparsity, threshold and scope out"
        return None

    @property
    def uses(self) -> Needs:
        by_output = self.method != "magnitude" and self.sparsity != 0
        return Needs(inputs=by_output, grams=by_output)

    def needed_opset(self, form: str) -> tuple[int, str]:
        opset = LEAST_OPSET["sparse-mask"]
        return opset, f"zeros cannot be stored small before opset {opset}"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        by_output = bool(self.uses)
        counts = felt(model, weights, context) if by_output and self._is_apportioned else {}
        limit, shares = self._limit(weights), self._shares(weights, counts)

        def keep(weight: Weight, known: Known) -> str | tuple[Kept, str]:
            return self._kept(weight, known, limit, shares[id(weight)])

        for weight, kept in encoded_in_order(model, weights, {}, lambda weight: by_output, keep, context):
            if isinstance(kept, str):
                outcomes.append(Skipped(weight.name, self.name, kept))
            elif kept[0].nonzeros == weight.size:
                outcomes.append(Skipped(weight.name, self.name, _NOTHING))
            else:
                outcomes.append(self._attached(weight, *kept, context))
        return outcomes

    def _attached(self, weight: Weight, kept: Kept, by: str, context: Context) -> Outcome:
        """Attaches the zeros, old and new, unless they would be stored as they are and gain nothing."""
        held = context.store.hold(kept.values.astype(weight.dtype.numpy(), copy=False))
        pruned = Pruned(held, weight.shape, kept.nonzeros)
        is_new, pays = kept.nonzeros < kept.nonzeros_before, saves(weight, cheapest(weight, pruned, context.storing))
        if not pays and (self.only_if_smaller or not is_new):
            return Skipped(weight.name, self.name, _no_gain(context.storing.opset) if is_new else _NOTHING)
        attach(weight, pruned)
        share = f"{1 - kept.nonzeros / weight.size:.1%} zeros{by}"
        return Rewritten(
            weight.name, self.name, share if is_new else f"{share}, all of them there before", kept.sqnr_db
        )

    def _limit(self, weights: list[Weight]) -> float | None:
        """The magnitude below which values become zero, where it is the same for all weights."""
        if self.threshold is not None or self.scope != "global":
            return self.threshold
        return 0.0 if self._share() == 0 else global_threshold((weight.array for weight in weights), self._share())

    def _shares(self, weights: list[Weight], counts: Mapping[ir.Value, np.ndarray]) -> dict[int, float]:
        """The share of zeros of each weight, by its id; not used where there is a limit. `counts`: how much the square
        of each value does."""
        if not self._is_apportioned:
            return {id(weight): self._share() for weight in weights}

        def reader(weight: Weight) -> Callable[[], np.ndarray]:
            importance = counts.get(weight.value)
            return weight.array if importance is None else lambda: weight.array() * np.sqrt(importance)

        shares = lamp_shares(map(reader, weights), self._share())
        return {id(weight): share for weight, share in zip(weights, shares, strict=True)}

    @property
    def _is_apportioned(self) -> bool:
        given = self.threshold is not None or self.pattern is not None
        return self.scope == "lamp" and not given and self._share() > 0

    def _share(self) -> float:
        return 0.5 if self.sparsity is None else self.sparsity

    def _kept(self, weight: Weight, known: Known, limit: float | None, share: float) -> str | tuple[Kept, str]:
        """What is left of it, and how that was chosen where there is something to say; or the reason to leave it
        alone."""
        array = weight.array()
        reason = unfit(array)
        if reason:
            return reason
        pattern = None if self.pattern is None else Pattern.of(self.pattern)
        if pattern is not None:
            plain = kept_in_pattern(weight, array, pattern)
        else:
            plain = keep_largest(array, share) if limit is None else keep_above(array, limit)
        if isinstance(plain, str):
            return plain
        if plain.nonzeros == plain.nonzeros_before:
            return plain, ""
        if pattern is not None and isinstance(known.inputs, Inputs):
            known = replace(known, inputs=cut_apart(weight, known.inputs.view, pattern) or known.inputs)
        method = OBS if self.method == "auto" else self.method
        said = known.said(method, "by magnitude")
        if isinstance(known.inputs, Inputs):
            return pruned_by_output(weight, array, plain, known.inputs, method, pattern, known.threads), said
        return plain, said


def _no_gain(opset: int) -> str:
    least = LEAST_OPSET["sparse-mask"]
    if opset < least:
        return f"zeros are stored small from opset {least} on, and this model has {opset}"
    return "zeros would not make it smaller: it is too small, or too few of its values are"
