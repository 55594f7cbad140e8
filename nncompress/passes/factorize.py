"""Pass `factorize`: a large matrix becomes two thin ones, which take fewer bytes and fewer multiplications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import onnx_ir as ir

from nncompress.forms.factors import largest_saving_rank
from nncompress.model.edit import Draft, Names, put_instead
from nncompress.model.lineage import inherit_origin
from nncompress.model.model import Model
from nncompress.model.split import as_matrix, as_stored, factor_shapes, matrix_shape, obstacle, split_readers
from nncompress.model.tensors import lazy
from nncompress.model.weights import Weight
from nncompress.numerics.grid import largest_finite
from nncompress.numerics.held import Held
from nncompress.numerics.low_rank import Spectrum, largest_and_sqnr_db, spectrum
from nncompress.numerics.rank_choice import Choice, ranks_within
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.components import Components, components_of
from nncompress.passes.context import Context
from nncompress.passes.option_types import Share
from nncompress.passes.second_order import Known, encoded_in_order
from nncompress.passes.statistics import Needs
from nncompress.results.record import Outcome, Rewritten, Skipped

_CRITERIA = ("rank", "energy", "ratio", "keep")
_WORTH_MORE = "stays whole: its components are worth more than those of other weights (--keep)"


@dataclass(frozen=True, eq=False)
class _Factors:
    """What a weight becomes, as the operator reads it."""

    rank: int
    a: Held
    b: Held
    sqnr_db: float | None  # of the values
    said: str  # for the detail of an outcome


@dataclass(frozen=True)
class Factorize(WeightPass):
    """Replaces MatMul, Gemm and 1x1 Conv by two thinner ones (truncated SVD), only where that saves bytes and work.

    Of a matrix of m x n, rank r keeps r (m + n) numbers. Trained weights often have nearly full rank: expect a gain
    on a few over-parameterised layers, not everywhere. With calibration data, what the matrices compute is kept rather
    than their values.
    """

    rank: int | None = None
    """the same rank for all"""
    energy: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of the sum of squared singular values that must be kept; 0.99 unless a rank or a share of parameters is
    given. With calibration data, weights are left alone that 8 bits would make no larger and change less, unless a
    later pass stores them in fewer bits anyway"""
    ratio: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of the parameters that the two factors may have"""
    keep: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of the parameters of all chosen weights together to keep: each gets the rank, or stays whole, so that what
    is lost of what they compute (without calibration data: of their squares) is least in sum"""
    min_size: int = 4096
    """leave weights with fewer elements alone"""

    name: ClassVar[str] = "factorize"
    stage: ClassVar[Stage] = Stage.GRAPH

    def problem(self) -> str | None:
        criteria = [name for name in _CRITERIA if getattr(self, name) is not None]
        if len(criteria) > 1:
            return f"give one of rank, energy, ratio and keep, not {' and '.join(criteria)}"
        if self.rank is not None and self.rank < 1:
            return f"rank must be at least 1, not {self.rank}"
        for name, value in (("energy", self.energy), ("ratio", self.ratio), ("keep", self.keep)):
            if value is not None and not 0 < value < 1:
                return f"{name} must lie between 0 and 1, not at {value}"
        return None

    @property
    def uses(self) -> Needs:
        return Needs(grams=True)

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        able = []
        for weight in weights:
            reason = obstacle(weight)
            if reason:
                outcomes.append(Skipped(weight.name, self.name, reason))
            else:
                able.append(weight)
        ranks = self._ranks(model, able, context) if self.keep is not None else {}
        names = Names(model)

        def factored(weight: Weight, known: Known) -> str | _Factors:
            return self._factored(weight, known, context, ranks.get(id(weight)))

        for weight, made in encoded_in_order(model, able, {}, lambda weight: True, factored, context):
            if isinstance(made, str):
                outcomes.append(Skipped(weight.name, self.name, made))
                continue
            _replace(model, weight, names, made)
            k, n = matrix_shape(weight)
            outcomes.append(Rewritten(weight.name, self.name, f"{k}x{n} of rank {made.rank}{made.said}", made.sqnr_db))
        return outcomes

    def _ranks(self, model: Model, weights: Sequence[Weight], context: Context) -> dict[int, int | str]:
        """By weight, the rank with which all together keep the share of the parameters; or why it stays whole."""
        assert self.keep is not None

        def spectrum_of(weight: Weight, known: Known) -> str | Spectrum:
            matrix = as_matrix(weight, weight.array())
            return unfit(matrix) or _unpaid(weight, 1) or components_of(matrix, known).svd

        found = list(encoded_in_order(model, weights, {}, lambda weight: True, spectrum_of, context))
        able = [(weight, svd) for weight, svd in found if isinstance(svd, Spectrum) and svd.energy > 0]
        choices = [
            Choice(svd.squared / svd.energy, sum(matrix_shape(weight)), largest_saving_rank(weight), weight.size)
            for weight, svd in able
        ]
        ranks = ranks_within(choices, self.keep * sum(choice.whole for choice in choices))
        return {id(weight): rank or _WORTH_MORE for (weight, _), rank in zip(able, ranks, strict=True)}

    def _factored(
        self, weight: Weight, known: Known, context: Context, chosen: int | str | None = None
    ) -> str | _Factors:
        """The factors, of the `chosen` rank if there is one; or the reason to leave the weight alone."""
        if isinstance(chosen, str):
            return chosen
        matrix = as_matrix(weight, weight.array())
        wanted = chosen or self._given_rank(matrix.shape)
        reason = unfit(matrix) or (None if wanted is None else _unpaid(weight, wanted))
        if reason:
            return reason
        found = components_of(matrix, known)
        if found.svd.energy == 0:
            return "all its values are zero"
        rank = wanted or (found.svd if found.outputs is None else spectrum(matrix)).rank_for_energy(self._share())
        paying = largest_saving_rank(weight)
        if rank > paying:
            return f"needs rank {rank} for {self._share():.4g} of its energy; only up to {paying} would pay"
        if wanted is None and found.outputs is not None and not context.encodes:
            reason = _better_in_eight_bits(weight, found, rank)
            if reason:
                return reason
        return _stored(weight, found, rank, context)

    def _share(self) -> float:
        return 0.99 if self.energy is None else self.energy

    def _given_rank(self, shape: tuple[int, ...]) -> int | None:
        """None: it follows from the components."""
        if self.keep is not None:
            return 1  # where nothing is known that could choose
        if self.ratio is not None:
            return max(1, int(self.ratio * shape[0] * shape[1] / (shape[0] + shape[1])))
        return self.rank


def _unpaid(weight: Weight, rank: int) -> str | None:
    """Why factors of that rank would not be smaller; None if they are."""
    paying = largest_saving_rank(weight)
    return f"rank {rank} would not pay; only up to {paying} would" if rank > paying else None


def _better_in_eight_bits(weight: Weight, found: Components, rank: int) -> str | None:
    """Why integers would be better than factors of that rank; None if they would not."""
    if rank * sum(found.matrix.shape) * weight.dtype.numpy().itemsize < weight.size:
        return None
    lost, rounded = found.lost(rank), found.lost_in_eight_bits()
    if lost <= rounded:
        return None
    return (
        f"rank {rank} would lose {lost:.2%} of what it computes, and 8 bits, which take no more bytes, {rounded:.2%}: "
        "quantize it, or give a rank, a ratio or what to keep"
    )


def _stored(weight: Weight, found: Components, rank: int, context: Context) -> str | _Factors:
    """The factors as the operator reads them, of the type of the weight; or why they cannot be."""
    dtype = weight.dtype.numpy()
    a, b = (factor.astype(dtype) for factor in found.factors(rank))
    sqnr_db, limit = found.svd.sqnr_db(rank), largest_finite(dtype)
    if found.outputs is not None or dtype.itemsize == 2 or math.sqrt(found.svd.energy) >= limit:
        largest, sqnr_db = largest_and_sqnr_db(found.matrix, a, b)
        if largest > limit:
            return f"products of its factors would be more than {dtype.name} can hold"
    a, b = as_stored(weight, a, b)
    return _Factors(rank, context.store.hold(a), context.store.hold(b), sqnr_db, found.said)


def _replace(model: Model, weight: Weight, names: Names, made: _Factors) -> None:
    constants = Draft(names)
    values: list[ir.Value] = []
    for held, shape, letter in zip((made.a, made.b), factor_shapes(weight, made.rank), "ab", strict=True):
        value = constants.constant(lazy(held.load, weight.dtype, shape, ""), f"{weight.name}.{letter}")
        inherit_origin(value, weight.value)
        values.append(value)
    split_readers(model, weight, constants, *values)
    put_instead(model, weight, constants)
