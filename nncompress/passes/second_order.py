"""Rounds weights by what they compute, in the order of the graph: what passes share that do so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import onnx_ir as ir

from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Affine, Quantized
from nncompress.numerics.grid import levels
from nncompress.numerics.held import Store
from nncompress.numerics.second_order import CROSSED, Codes, Levels, Pinned, Quadratic, Table, rounded
from nncompress.numerics.shared import Shared
from nncompress.passes.context import Context
from nncompress.passes.parallel import in_parallel
from nncompress.passes.statistics import Inputs

E = TypeVar("E")
Method = Literal["auto", "rtn", "gptq"]
SECOND_ORDER, OBS, WANDA, ENTROPY = "gptq", "obs", "wanda", "entropy"
TO_NEAREST = "rounded to the nearest"
CHOSEN = {SECOND_ORDER: "codes", OBS: "zeros", WANDA: "zeros", ENTROPY: "zeros"}
"""What an outcome says of a weight of which products of its inputs chose something; and what that is."""


def by_products(method: Method, bits: int) -> bool:
    """Whether products of its inputs are to choose the codes of a weight of so many bits."""
    return method == SECOND_ORDER or (method == "auto" and bits < 8)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the inputs of a weight when it is encoded."""

    importance: np.ndarray | None = None  # how often the squared error of each value counts
    inputs: Inputs | str | None = None  # for second order; or why there are none; None: not asked for
    threads: int = 1  # to work on it alone

    def said(self, method: str, instead: str) -> str:
        """For the detail of an outcome: the method, or what was done instead and why."""
        if self.inputs is None:
            return ""
        return f", {method}" if isinstance(self.inputs, Inputs) else f", {instead}: {self.inputs}"


def encoded_in_order(
    model: Model, weights: Sequence[Weight], importance: Mapping[ir.Value, np.ndarray],
    chosen: Callable[[Weight], bool], encode: Callable[[Weight, Known], E], context: Context,
) -> Iterator[tuple[Weight, E]]:  # fmt: skip
    """encode(weight, what is known of it) for every weight; those that are `chosen` with products of their inputs, in
    the order of the graph and as the network computes them by then."""
    calibration = None if context.draft else context.calibration
    asked = [weight for weight in weights if chosen(weight)] if calibration is not None else []
    others = {id(weight) for weight in weights} - {id(weight) for weight in asked}
    known: dict[int, Inputs | str] = {}
    threads = 1

    def with_known(weight: Weight) -> E:
        return encode(weight, Known(importance.get(weight.value), known.get(id(weight)), threads))

    yield from in_parallel([weight for weight in weights if id(weight) in others], with_known, context.threads)
    if calibration is None or not asked:
        return
    for batch in calibration.grams(model, asked):
        known = {id(weight): inputs for weight, inputs in batch}
        threads = context.threads if len(batch) == 1 else 1
        yield from in_parallel([weight for weight, _ in batch], with_known, context.threads)


def rounded_anew(
    array: np.ndarray, made: Quantized, inputs: Inputs, threads: int, store: Store, crossed: float = CROSSED
) -> Quantized:
    """The same scales and zero points with the codes that leave most of what `array`, of the shape of the codes,
    computes: never worse on the samples than the codes that are there. `crossed`: see Quadratic.of."""
    affine = made.affine
    scale = affine.scale if affine.input_scale is None else affine.scale * affine.input_scale
    step, zero = _matrix(scale, affine.codes_shape, inputs), _matrix(_zero_of(affine), affine.codes_shape, inputs)
    codes = Codes(step, zero, *levels(affine.bits, signed=affine.signed, symmetric=made.symmetric))
    best, noise = _rounded(array, affine.decode(), codes, inputs, threads, crossed)
    whole = inputs.view.undone(np.rint(best / _turned(step)) + _turned(zero), affine.codes_shape).astype(
        affine.code_type
    )
    held = replace(affine, codes=store.hold(whole), nonzeros=int(np.count_nonzero(best)))
    return replace(made, affine=held, noise=noise, weighted_noise=noise)


def shared_anew(
    array: np.ndarray, made: Shared, inputs: Inputs, threads: int, store: Store, crossed: float = CROSSED
) -> Shared:
    """The same one table and scales with the codes that leave most of what `array` computes. `crossed`: see
    Quadratic.of."""
    codebook = made.codebook
    order = np.argsort(codebook.values, kind="stable")
    scale = np.ones((1,) * len(codebook.codes_shape)) if codebook.scale is None else codebook.scale
    table = Table(codebook.values[order].astype(np.float64), _matrix(scale, codebook.codes_shape, inputs))
    best, noise = _rounded(array, codebook.decode(), table, inputs, threads, crossed)
    codes = inputs.view.undone(order[table.places(best / _turned(table.step))], codebook.codes_shape).astype(np.uint8)
    held = replace(codebook, codes=store.hold(codes), nonzeros=int(np.count_nonzero(codes)))
    return replace(made, codebook=held, noise=noise, weighted_noise=noise)


def _rounded(
    array: np.ndarray, start: np.ndarray, levels: Levels, inputs: Inputs, threads: int, crossed: float = CROSSED
) -> tuple[np.ndarray, float]:
    """The best values as a matrix, and the sum of the squares of what is lost."""
    exact, first = inputs.view.of(array).astype(np.float64), inputs.view.of(start).astype(np.float64)
    pinned = Pinned(levels, _turned((exact == 0) & (first == 0)))
    best = rounded(
        Quadratic.of(exact, inputs.gram, crossed=crossed), pinned if pinned.zero.any() else levels, first, threads
    )
    return best, float(np.square(best - exact).sum())


def _matrix(parameter: np.ndarray, shape: tuple[int, ...], inputs: Inputs) -> np.ndarray:
    """A number for each value of the matrix, turned."""
    return _turned(inputs.view.of(np.broadcast_to(parameter.astype(np.float64), shape)))


def _turned(matrix: np.ndarray) -> np.ndarray:
    return matrix.transpose(0, 2, 1)


def _zero_of(affine: Affine) -> np.ndarray:
    return np.zeros((1,) * len(affine.codes_shape)) if affine.zero_point is None else affine.zero_point
