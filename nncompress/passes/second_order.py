"""Rounds weights by what they compute, in the order of the graph: what passes share that do so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Quantized
from nncompress.numerics.grid import levels
from nncompress.numerics.second_order import Codes, Quadratic, descended, fed_back
from nncompress.passes.context import Context
from nncompress.passes.parallel import in_parallel
from nncompress.passes.statistics import Inputs

E = TypeVar("E")
SECOND_ORDER, OBS, WANDA = "gptq", "obs", "wanda"
CHOSEN = {SECOND_ORDER: "codes", OBS: "zeros", WANDA: "zeros"}
"""What an outcome says of a weight of which products of its inputs chose something; and what that is."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the inputs of a weight when it is encoded."""

    importance: np.ndarray | None = None  # how often the squared error of each value counts
    inputs: Inputs | str | None = None  # for second order; or why there are none; None: not asked for

    def said(self, method: str, instead: str) -> str:
        """For the detail of an outcome: the method, or what was done instead and why."""
        if self.inputs is None:
            return ""
        return f", {method}" if isinstance(self.inputs, Inputs) else f", {instead}: {self.inputs}"


def encoded_in_order(
    model: Model, weights: Sequence[Weight], importance: Mapping[ir.Value, np.ndarray],
    by_products: Callable[[Weight], bool], encode: Callable[[Weight, Known], E], context: Context,
) -> Iterator[tuple[Weight, E]]:  # fmt: skip
    """encode(weight, what is known of it) for every weight; those that are rounded `by_products` in the order of the
    graph, each with what the network computes by then."""
    calibration = None if context.draft else context.calibration
    chosen = [weight for weight in weights if by_products(weight)] if calibration is not None else []
    others = {id(weight) for weight in weights} - {id(weight) for weight in chosen}
    known: dict[int, Inputs | str] = {}

    def with_known(weight: Weight) -> E:
        return encode(weight, Known(importance.get(weight.value), known.get(id(weight))))

    yield from in_parallel([weight for weight in weights if id(weight) in others], with_known, context.threads)
    if calibration is None or not chosen:
        return
    for batch in calibration.grams(model, chosen):
        known = {id(weight): inputs for weight, inputs in batch}
        yield from in_parallel([weight for weight, _ in batch], with_known, context.threads)


def rounded_anew(array: np.ndarray, made: Quantized, inputs: Inputs, context: Context) -> Quantized:
    """The same scales and zero points with the codes that leave most of what `array`, of the shape of the codes,
    computes: never worse on the samples than the codes that are there."""
    view, affine = inputs.view, made.affine
    shape = affine.codes_shape

    def matrix(parameter: np.ndarray) -> np.ndarray:
        return view.of(np.broadcast_to(parameter.astype(np.float64), shape))

    step = matrix(affine.scale if affine.input_scale is None else affine.scale * affine.input_scale)
    zero = matrix(np.zeros((1,) * len(shape)) if affine.zero_point is None else affine.zero_point)
    exact = view.of(array).astype(np.float64)
    codes = Codes(step, zero, *levels(affine.bits, signed=affine.signed, symmetric=made.symmetric), exact == 0)
    quadratic = Quadratic.of(exact, inputs.gram)
    plain = view.of(affine.decode()).astype(np.float64)
    best = min((descended(quadratic, fed_back(quadratic, codes), codes), plain), key=quadratic.value)
    noise = float(np.square(best - exact).sum())
    whole = view.undone(np.rint(best / step) + zero, shape).astype(affine.code_type)
    held = replace(affine, codes=context.store.hold(whole), nonzeros=int(np.count_nonzero(best)))
    return replace(made, affine=held, noise=noise, weighted_noise=noise)
