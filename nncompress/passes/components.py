"""The components that a weight is a sum of, by its values or by what it computes: from what `factorize` chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nncompress.numerics.affine import quantize
from nncompress.numerics.held import Store
from nncompress.numerics.low_rank import Spectrum, factors, spectrum
from nncompress.numerics.output_low_rank import OutputSpectrum, output_spectrum
from nncompress.numerics.second_order import Quadratic
from nncompress.passes.second_order import Known
from nncompress.passes.statistics import Inputs

BY_RESULT = "by what it computes"
"""What an outcome says of a weight whose factors follow from products of its inputs."""


@dataclass(frozen=True, eq=False)
class Components:
    """Of a weight [K, N] as in y = x W."""

    matrix: np.ndarray
    svd: Spectrum  # of the values, or of the outputs
    outputs: OutputSpectrum | None  # None: by its values
    h: np.ndarray | None  # [blocks, k, k], what outputs are measured with
    said: str  # for the detail of an outcome

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """A [K, rank] and B [rank, N] as float32."""
        return factors(self.matrix, self.svd, rank) if self.outputs is None else self.outputs.factors(rank)

    def lost(self, rank: int) -> float:
        """|error| / |original| of outputs, or of the values."""
        return float(np.sqrt(self.svd.squared[rank:].sum() / self.svd.energy))

    def lost_in_eight_bits(self) -> float:
        """The same of outputs, with the values rounded to 8 bits, a scale for each output."""
        assert self.h is not None, "outputs are known"
        made = quantize(self.matrix, (1,), bits=8, signed=True, symmetric=True, range_="mse", store=Store())
        error = self.matrix.astype(np.float64) - made.affine.decode()
        error = _in_blocks(error, len(self.h))
        return float(np.sqrt(max(((error @ self.h) * error).sum(), 0) / self.svd.energy))


def components_of(matrix: np.ndarray, known: Known) -> Components:
    """Of a finite weight [K, N], of whose inputs that is known."""
    if not isinstance(known.inputs, Inputs):
        said = "" if known.inputs is None else f", by its values: {known.inputs}"
        return Components(matrix, spectrum(matrix), None, None, said)
    gram = known.inputs.gram
    quadratic = Quadratic.of(_in_blocks(matrix, len(gram.own)), gram)
    outputs = output_spectrum(quadratic)
    return Components(matrix, outputs.svd, outputs, quadratic.h, f", {BY_RESULT}")


def _in_blocks(matrix: np.ndarray, blocks: int) -> np.ndarray:
    """A matrix [K, N] as [blocks, N, k]."""
    return matrix.reshape(blocks, -1, matrix.shape[1]).transpose(0, 2, 1)
