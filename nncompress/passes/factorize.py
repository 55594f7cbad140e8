"""Pass `factorize`: a large matrix becomes two thin ones, which take fewer bytes and fewer multiplications."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from nncompress.numerics.low_rank import Spectrum, largest_and_sqnr_db
from nncompress.numerics.rank_choice import Choice, ranks_within
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.components import Components, components_of
from nncompress.passes.context import Context
from nncompress.passes.option_types import Share
from nncompress.passes.parallel import in_parallel
from nncompress.passes.second_order import Known, encoded_in_order
from nncompress.passes.statistics import Needs
from nncompress.results.record import Outcome, Rewritten, Skipped

_CRITERIA = ("rank", "energy", "ratio", "keep")
_WORTH_MORE = "stays whole: its components are worth more than those of other weights (--keep)"


@dataclass(frozen=True, eq=False)
class _Factors:
    """A weight [K, N] as A B, a column of A and a row of B for each component."""

    rank: int
    a: Held  # [K, rank or more]
    b: Held
    svd: Spectrum
    by_result: bool  # `svd` is of what it computes, not of its values
    said: str
    sqnr_db: float | None = None  # of the values


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
    """share of the sum of squared singular values that must be kept, with calibration data that of the squares of what
    the weight computes; 0.99 unless a rank or a share of parameters is given. With calibration data, weights are left
    alone that 8 bits would make no larger and change less, unless a later pass stores them in fewer bits anyway"""
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
        found = encoded_in_order(
            model, able, {}, lambda weight: True, lambda weight, known: self._factored(weight, known, context), context
        )
        factored = {id(weight): made for weight, made in found}  # of the network as it is, before anything changes
        if self.keep is not None:
            factored = self._within(able, factored)
        names = Names(model)
        for weight, made in in_parallel(
            able, lambda weight: _stored(weight, factored[id(weight)], context), context.threads
        ):
            if isinstance(made, str):
                outcomes.append(Skipped(weight.name, self.name, made))
                continue
            _replace(model, weight, names, made)
            k, n = matrix_shape(weight)
            outcomes.append(Rewritten(weight.name, self.name, f"{k}x{n} of rank {made.rank}{made.said}", made.sqnr_db))
        return outcomes

    def _factored(self, weight: Weight, known: Known, context: Context) -> str | _Factors:
        """The factors, with --keep of the largest rank that may be chosen; or the reason to leave the weight alone."""
        matrix = as_matrix(weight, weight.array())
        reason = unfit(matrix)
        if reason:
            return reason
        paying = largest_saving_rank(weight)
        wanted = paying if self.keep is not None else self._given_rank(matrix.shape)
        if wanted is not None and not 1 <= wanted <= paying:
            return f"rank {max(wanted, 1)} would not pay; only up to {paying} would"
        found = components_of(matrix, known)
        if found.svd.energy == 0:
            return "all its values are zero"
        rank = wanted if wanted is not None else found.svd.rank_for_energy(self._share())
        if rank > paying:
            return f"needs rank {rank} for {self._share():.4g} of its energy; only up to {paying} would pay"
        if wanted is None and found.outputs is not None and not context.encodes:
            reason = _better_in_eight_bits(weight, found, rank)
            if reason:
                return reason
        a, b = map(context.store.hold, found.factors(rank))
        return _Factors(rank, a, b, found.svd, found.outputs is not None, found.said)

    def _within(self, weights: Sequence[Weight], factored: Mapping[int, str | _Factors]) -> dict[int, str | _Factors]:
        """The ranks that together keep the share of the parameters."""
        assert self.keep is not None
        made = dict(factored)
        able = [(weight, one) for weight in weights if isinstance(one := factored[id(weight)], _Factors)]
        choices = [
            Choice(one.svd.squared / one.svd.energy, sum(matrix_shape(weight)), one.rank, weight.size)
            for weight, one in able
        ]
        ranks = ranks_within(choices, self.keep * sum(choice.whole for choice in choices))
        for (weight, one), rank in zip(able, ranks, strict=True):
            made[id(weight)] = replace(one, rank=rank) if rank else _WORTH_MORE
        return made

    def _share(self) -> float:
        return 0.99 if self.energy is None else self.energy

    def _given_rank(self, shape: tuple[int, ...]) -> int | None:
        if self.ratio is not None:
            return max(1, int(self.ratio * shape[0] * shape[1] / (shape[0] + shape[1])))
        return self.rank


def _better_in_eight_bits(weight: Weight, found: Components, rank: int) -> str | None:
    """Why integers would be better than factors of that rank; None if they would not."""
    numbers = rank * sum(found.matrix.shape)
    if numbers * weight.dtype.numpy().itemsize < weight.size:
        return None
    lost, rounded = found.lost(rank), found.lost_in_eight_bits()
    if lost <= rounded:
        return None
    return (
        f"rank {rank} would lose {lost:.2%} of what it computes, and 8 bits, which take no more bytes, {rounded:.2%}: "
        "quantize it, or give a rank, a ratio or what to keep"
    )


def _stored(weight: Weight, factored: str | _Factors, context: Context) -> str | _Factors:
    """The factors as the operator reads them, of the type of the weight; or why they cannot be."""
    if isinstance(factored, str):
        return factored
    rank, dtype = factored.rank, weight.dtype.numpy()
    a, b = (factor.astype(dtype) for factor in (factored.a.load()[:, :rank], factored.b.load()[:rank]))
    sqnr_db, limit = factored.svd.sqnr_db(rank), largest_finite(dtype)
    if factored.by_result or dtype.itemsize == 2 or math.sqrt(factored.svd.energy) >= limit:
        largest, sqnr_db = largest_and_sqnr_db(as_matrix(weight, weight.array()), a, b)
        if largest > limit:
            return f"products of its factors would be more than {dtype.name} can hold"
    a, b = as_stored(weight, a, b)
    return replace(factored, a=context.store.hold(a), b=context.store.hold(b), sqnr_db=sqnr_db)


def _replace(model: Model, weight: Weight, names: Names, made: _Factors) -> None:
    constants = Draft(names)
    values: list[ir.Value] = []
    for held, shape, letter in zip((made.a, made.b), factor_shapes(weight, made.rank), "ab", strict=True):
        value = constants.constant(lazy(held.load, weight.dtype, shape, ""), f"{weight.name}.{letter}")
        inherit_origin(value, weight.value)
        values.append(value)
    split_readers(model, weight, constants, *values)
    put_instead(model, weight, constants)
