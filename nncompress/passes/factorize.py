"""Pass `factorize`: a large matrix becomes two thin ones, which take fewer bytes and fewer multiplications."""

from __future__ import annotations

import math
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
from nncompress.numerics.low_rank import factors, largest_and_sqnr_db, spectrum
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.context import Context
from nncompress.passes.option_types import Share
from nncompress.passes.parallel import in_parallel
from nncompress.results.record import Outcome, Rewritten, Skipped


@dataclass(frozen=True)
class Factorize(WeightPass):
    """Replaces MatMul, Gemm and 1x1 Conv by two thinner ones (truncated SVD), only where that saves bytes and work.

    Of a matrix of m x n, rank r keeps r (m + n) numbers. Trained weights often have nearly full rank: expect a gain
    on a few over-parameterised layers, not everywhere.
    """

    rank: int | None = None
    """the same rank for all"""
    energy: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of the sum of squared singular values that must be kept; 0.99 unless a rank or a ratio is given"""
    ratio: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of the parameters that the two factors may have"""
    min_size: int = 4096
    """leave weights with fewer elements alone"""

    name: ClassVar[str] = "factorize"
    stage: ClassVar[Stage] = Stage.GRAPH

    def problem(self) -> str | None:
        criteria = [name for name in ("rank", "energy", "ratio") if getattr(self, name) is not None]
        if len(criteria) > 1:
            return f"give one of rank, energy and ratio, not {' and '.join(criteria)}"
        if self.rank is not None and self.rank < 1:
            return f"rank must be at least 1, not {self.rank}"
        for name, value in (("energy", self.energy), ("ratio", self.ratio)):
            if value is not None and not 0 < value < 1:
                return f"{name} must lie between 0 and 1, not at {value}"
        return None

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        able = []
        for weight in weights:
            reason = obstacle(weight)
            if reason:
                outcomes.append(Skipped(weight.name, self.name, reason))
            else:
                able.append(weight)
        names = Names(model)
        for weight, factored in in_parallel(able, lambda weight: self._factored(weight, context), context.threads):
            if isinstance(factored, str):
                outcomes.append(Skipped(weight.name, self.name, factored))
                continue
            rank, a, b, sqnr_db = factored
            _replace(model, weight, names, rank, a, b)
            k, n = matrix_shape(weight)
            outcomes.append(Rewritten(weight.name, self.name, f"{k}x{n} of rank {rank}", sqnr_db))
        return outcomes

    def _factored(self, weight: Weight, context: Context) -> str | tuple[int, Held, Held, float | None]:
        """The rank, the factors and the error; or the reason to leave the weight alone."""
        matrix = as_matrix(weight, weight.array())
        reason = unfit(matrix)
        if reason:
            return reason
        paying = largest_saving_rank(weight)
        wanted = self._given_rank(matrix.shape)
        if wanted is not None and wanted > paying:
            return f"rank {wanted} would not pay; only up to {paying} would"
        svd = spectrum(matrix)
        if svd.energy == 0:
            return "all its values are zero"
        rank = wanted if wanted is not None else svd.rank_for_energy(self._share())
        if rank > paying:
            return f"needs rank {rank} for {self._share():.4g} of its energy; only up to {paying} would pay"
        dtype, sqnr_db = weight.dtype.numpy(), svd.sqnr_db(rank)
        a, b = (factor.astype(dtype) for factor in factors(matrix, svd, rank))
        limit = largest_finite(dtype)
        if dtype.itemsize == 2 or math.sqrt(svd.energy) >= limit:
            largest, sqnr_db = largest_and_sqnr_db(matrix, a, b)
            if largest > limit:
                return f"products of its factors would be more than {dtype.name} can hold"
        a, b = as_stored(weight, a, b)
        return rank, context.store.hold(a), context.store.hold(b), sqnr_db

    def _share(self) -> float:
        return 0.99 if self.energy is None else self.energy

    def _given_rank(self, shape: tuple[int, ...]) -> int | None:
        if self.ratio is not None:
            return max(1, int(self.ratio * shape[0] * shape[1] / (shape[0] + shape[1])))
        return self.rank


def _replace(model: Model, weight: Weight, names: Names, rank: int, a: Held, b: Held) -> None:
    constants = Draft(names)
    values: list[ir.Value] = []
    for held, shape, letter in zip((a, b), factor_shapes(weight, rank), "ab", strict=True):
        value = constants.constant(lazy(held.load, weight.dtype, shape, ""), f"{weight.name}.{letter}")
        inherit_origin(value, weight.value)
        values.append(value)
    split_readers(model, weight, constants, *values)
    put_instead(model, weight, constants)
