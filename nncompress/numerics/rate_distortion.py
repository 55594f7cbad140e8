"""What a matrix would lose of what it computes with fewer bits and more zeros: measured on a part of its outputs.

No output has to do with another but in where zeros go, so that a part of them stands for all. With W the matrix, Q what
pruning and rounding by the products of some inputs make of it, and H the products of other inputs,

    loss = tr((Q - W) H (Q - W)^T) / tr(W H W^T).

Of the inputs that it was made by, Q is closer to W than it will be of any others: many zeros fit themselves to them.
What error feedback gains over rounding to the nearest is measured with 3 bits, and taken to be the same with others;
what shared values gain over evenly spaced ones, among zeros, with one share of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nncompress.numerics.affine import Quantized, quantize
from nncompress.numerics.gram import Gram
from nncompress.numerics.grid import levels
from nncompress.numerics.held import Store
from nncompress.numerics.magnitude import keep_largest
from nncompress.numerics.obs import pruned, smallest_of_parts
from nncompress.numerics.second_order import Codes, Factor, Pinned, Quadratic, fed_back, rounded
from nncompress.numerics.shared import shared

_FEWEST, _MOST, _WEIGHTS = 16, 64, 1 << 16  # outputs of all groups together: those of so many weights
_OF_TABLES = 1 << 18  # weights, where nothing is known of the inputs and each takes little time
_FEWEST_GROUPS, _PRODUCTS = 2, 1 << 25  # groups: those of so many products of inputs
_PROBED_BITS, _PROBED_ZEROS = 3, 0.7


@dataclass(frozen=True)
class Kind:
    """A way to store a matrix: integers of so many bits, of which a share was made zero before; they are steps of the
    same width, or places in a table of values that all outputs share."""

    bits: int
    sparsity: float
    shared: bool = False


@dataclass(frozen=True)
class Loss:
    """What that loses, the share of its codes that are not zero, and whether it needs zero points."""

    kind: Kind
    loss: float
    density: float
    shifted: bool


def losses(
    matrix: np.ndarray, products: Products | None, kinds: Sequence[Kind], factor: Factor | None = None
) -> list[Loss]:
    """Of `matrix` [groups, outputs, inputs] in each way. Without `products`, inputs count as much as each other, codes
    are the nearest ones, and the smallest values become zero; the same where inputs that judge are all zero. `factor`:
    see Probed, if it is known."""
    part = _Part.of(matrix.astype(np.float64), products, factor)
    if part.signal <= 0 and products is not None:
        return losses(matrix, None, kinds)
    if part.signal <= 0:
        return [Loss(kind, 0.0, 1.0, shifted=False) for kind in kinds]
    by_share = {share: [kind for kind in kinds if kind.sparsity == share] for share in {k.sparsity for k in kinds}}
    probed = {sparse: _PROBED_ZEROS if sparse else 0.0 for sparse in {share > 0 for share in by_share}}
    thins = part.thinned(sorted({*by_share, *probed.values()}))
    gains = {sparse: part.gain(thins[share], sparse=sparse) for sparse, share in probed.items()}
    shares = _Sharing(matrix, products)
    found = []
    for share, own in sorted(by_share.items()):
        lost = part.error(thins[share])
        for bits in sorted({kind.bits for kind in own}):
            made, values = part.nearest(thins[share], bits, sparse=share > 0)
            more = gains[share > 0] * max(part.error(values) - lost, 0.0)
            density = float(np.count_nonzero(values) / values.size)
            for kind in (kind for kind in own if kind.bits == bits):
                less = shares.ratio(bits, sparse=share > 0) if kind.shared else 1.0
                shifted = made.affine.zero_point is not None and not kind.shared
                found.append(Loss(kind, (lost + less * more) / part.signal, density, shifted))
    return found


@dataclass(frozen=True)
class Products:
    """Of the inputs of a matrix: those that it is made by, and others that judge it."""

    making: Gram
    judging: Gram


@dataclass(frozen=True)
class Probed:
    """A matrix in few bits, the loss of that, and the factor of the products of its inputs."""

    values: np.ndarray
    loss: float
    factor: Factor | None


def probed(matrix: np.ndarray, products: Products | None) -> Probed:
    """`matrix` with 3 bits: rounded with error feedback, for what that leaves lies where inputs have little power, and
    does other things to later results than as much error of rounding to the nearest."""
    whole = _Part(matrix.astype(np.float64), products)
    made, values = whole.nearest(whole.matrix, _PROBED_BITS, sparse=False)
    values = whole.fed_back(made, values)
    return Probed(values, whole.error(values) / whole.signal if whole.signal > 0 else 0.0, whole.factor)


def error_share(matrix: np.ndarray, other: np.ndarray, products: Products | None) -> float:
    """The loss of `other` in the place of `matrix`."""
    whole = _Part(matrix.astype(np.float64), products)
    return whole.error(other.astype(np.float64)) / whole.signal if whole.signal > 0 else 0.0


class _Part:
    """Some outputs of a matrix, and what is known of its inputs."""

    def __init__(self, matrix: np.ndarray, products: Products | None, factor: Factor | None = None) -> None:
        self.matrix, self.factor = matrix, factor
        self._quadratic, self._judging = None, None
        if products is not None:
            self._quadratic = Quadratic.of(matrix, products.making, crossed=0.0)
            self._judging = products.judging.own
            self.factor = factor or Factor.of(self._quadratic.h, np.float32)
        self.signal = self.error(np.zeros_like(matrix))

    @classmethod
    def of(cls, matrix: np.ndarray, products: Products | None, factor: Factor | None) -> _Part:
        """An even selection."""
        groups, outputs, inputs = matrix.shape
        most = _OF_TABLES // inputs + _FEWEST
        if products is not None:
            most = min(max(_WEIGHTS // inputs, _FEWEST), _MOST)
        some = _evenly(groups, min(most, max(_PRODUCTS // inputs**2, _FEWEST_GROUPS)))
        own = None if products is None else Products(
            products.making.of_groups(some), products.judging.of_groups(some)
        )  # fmt: skip
        chosen = None if factor is None else Factor(factor.order, factor.lower[some])
        return cls(matrix[some][:, _evenly(outputs, max(1, most // len(some)))], own, chosen)

    def error(self, other: np.ndarray) -> float:
        moved = other - self.matrix
        return float((moved * (moved if self._judging is None else moved @ self._judging)).sum())

    def thinned(self, shares: Sequence[float]) -> dict[float, np.ndarray]:
        """With each of these shares of zeros, and the others as they make up best for them: all at once, as each would
        be alone."""
        sparse = [share for share in shares if share > 0]
        made = {0.0: self.matrix}
        if self._quadratic is None:
            return made | {share: keep_largest(self.matrix, share).values for share in sparse}
        if not sparse:
            return made
        mask = smallest_of_parts([round(share * self.matrix.size) for share in sparse])
        tall = Quadratic(self._quadratic.h, np.tile(self._quadratic.r, (1, len(sparse), 1)))
        parts = np.split(pruned(tall, np.tile(self.matrix, (1, len(sparse), 1)), mask), len(sparse), axis=1)
        return made | {share: part.astype(np.float64) for share, part in zip(sparse, parts, strict=True)}

    def nearest(self, thin: np.ndarray, bits: int, *, sparse: bool) -> tuple[Quantized, np.ndarray]:
        """Rounded to the nearest, and the values of that."""
        groups, outputs, inputs = thin.shape
        rows, importance = thin.reshape(groups * outputs, inputs).astype(np.float32), None
        if self._quadratic is not None:
            each = np.einsum("gjj->gj", self._quadratic.h)
            importance = np.repeat(each, outputs, axis=0).astype(np.float32)
        made = _even(rows, bits, importance, sparse=sparse)
        return made, made.affine.decode().reshape(thin.shape).astype(np.float64)

    def gain(self, thin: np.ndarray, *, sparse: bool) -> float:
        """What error feedback leaves of the error of rounding to the nearest."""
        if self._quadratic is None:
            return 1.0
        made, values = self.nearest(thin, _PROBED_BITS, sparse=sparse)
        own = Quadratic(self._quadratic.h, thin @ self._quadratic.h)
        best = rounded(own, _codes_of(made, thin), values, factor=self.factor)
        lost = self.error(thin)
        before, after = self.error(values) - lost, self.error(best) - lost
        return min(max(after / before, 0.0), 1.0) if before > 0 else 1.0

    def fed_back(self, made: Quantized, values: np.ndarray) -> np.ndarray:
        """The codes that error feedback chooses in the place of the nearest, of which `values` are those."""
        if self._quadratic is None or self.factor is None:
            return values
        levels = _codes_of(made, self.matrix).part(slice(None))
        return fed_back(self.factor, self._quadratic.r, levels).astype(np.float64)


class _Sharing:
    """What shared values leave of the error of evenly spaced ones; each measured once, when it is asked for. On as many
    outputs as there is time for: a table fits itself to few values."""

    def __init__(self, matrix: np.ndarray, products: Products | None) -> None:
        _, outputs, inputs = matrix.shape
        rows = matrix.reshape(-1, inputs)
        some = _evenly(len(rows), max(1, _OF_TABLES // inputs))
        self._rows, self._importance = rows[some].astype(np.float32), None
        if products is not None:
            each = np.einsum("gjj->gj", products.making.own) / max(products.making.count, 1)
            self._importance = each[some // outputs].astype(np.float32)
        self._known: dict[tuple[int, bool], float] = {}

    def ratio(self, bits: int, *, sparse: bool) -> float:
        """With so many bits, among zeros or without."""
        if (bits, sparse) not in self._known:
            rows, importance = self._thinned() if sparse else self._rows, self._importance
            table = shared(rows, (0,), count=2**bits, store=Store(), importance=importance)
            before, after = _even(rows, bits, importance, sparse=sparse).weighted_noise, table.weighted_noise
            self._known[bits, sparse] = min(after / before, 1.0) if before > 0 else 1.0
        return self._known[bits, sparse]

    def _thinned(self) -> np.ndarray:
        scores = np.abs(self._rows) * (1.0 if self._importance is None else np.sqrt(self._importance))
        return np.where(scores >= np.quantile(scores, _PROBED_ZEROS), self._rows, np.float32(0))


def _even(rows: np.ndarray, bits: int, importance: np.ndarray | None, *, sparse: bool) -> Quantized:
    """Evenly spaced values, each row with steps of its own."""
    return quantize(
        rows, (0,), bits=bits, signed=True, symmetric=True if sparse else None, range_="mse", store=Store(),
        importance=importance,
    )  # fmt: skip


def _codes_of(made: Quantized, thin: np.ndarray) -> Codes | Pinned:
    affine = made.affine
    zero = np.zeros(1) if affine.zero_point is None else affine.zero_point.astype(np.float64)
    step, shift = (
        np.broadcast_to(each, affine.codes_shape).reshape(thin.shape).transpose(0, 2, 1)
        for each in (affine.scale.astype(np.float64), zero)
    )
    codes = Codes(step, shift, *levels(affine.bits, signed=True, symmetric=made.symmetric))
    zeros = (thin == 0).transpose(0, 2, 1)
    return Pinned(codes, zeros) if zeros.any() else codes


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def kinds_of(bits: Iterable[int], sparse_bits: Iterable[int], shares: Iterable[float]) -> list[Kind]:
    """Dense ones, and those with zeros; of fewer than 8 bits with shared values as well."""
    shares = list(shares)
    even = [*(Kind(b, 0.0) for b in bits), *(Kind(b, share) for b in sparse_bits for share in shares)]
    return [*even, *(replace(kind, shared=True) for kind in even if kind.bits < 8)]
