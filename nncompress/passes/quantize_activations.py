"""Pass `quantize-activations`: what weights are multiplied with becomes 8-bit integers, and so the product.

Only the operands of weighted operators are rounded (and the results of Conv, without which no runtime multiplies it in
integers): rounding what elementwise operators read does most of the damage, and gives hardly any speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from nncompress.errors import UsageError
from nncompress.forms.integer import is_plain_product, unsuitable
from nncompress.model.activations import MOVES, round_value, rounding_of
from nncompress.model.constants import constant_tensor, float_constant
from nncompress.model.edit import Editor
from nncompress.model.encoding import prefer_form
from nncompress.model.model import INSIDE, Model
from nncompress.model.node_attributes import operand, standard_op
from nncompress.model.readers import only_reader
from nncompress.model.weights import Use, Weight
from nncompress.numerics.estimators import Estimator, Method
from nncompress.numerics.rounding import Rounding, rounding_for
from nncompress.passes.base import Stage, WeightPass
from nncompress.passes.context import Context
from nncompress.passes.select import check_globs, matches
from nncompress.passes.statistics import ActivationRange, Calibration, Needs
from nncompress.results.record import Outcome, Rewritten, Skipped

_UNKNOWN_INPUT = "its data are an input, and made-up samples do not tell how far real ones reach"
_STATIC_FROM_OPSET, _DYNAMIC_FROM_OPSET = 13, 11


@dataclass(frozen=True)
class QuantizeActivations(WeightPass):
    """Multiplies weights in 8-bit integers: what they are multiplied with is rounded, too.

    With static scales these are measured on calibration data (--calibration), with dynamic ones computed at every
    inference. Conv, Gemm and MatMul can have static scales; Gemm, MatMul and with --target ort LSTM dynamic ones.
    """

    activations: Literal["static", "dynamic", "mixed", "float"] = "static"
    """rounds what weights are multiplied with to 8-bit integers, and multiplies in these, which is faster; static: by
    scales measured on calibration data; dynamic: by scales computed at every inference, which takes no data; mixed:
    for each weight what is fastest on this machine within the loss that is allowed (--for speed means this); float: not
    at all"""
    dynamic: tuple[str, ...] = ()
    """dynamic scales for the weights whose name, or a reading node's name, matches one of these globs"""
    calibrate: Method = "mse"
    """how far static scales reach: to the extremes (minmax), their mean over feeds (moving-average), a share of all
    values (percentile), as far as the histogram keeps its shape (entropy), or where the squared error is least (mse)"""
    percentile: float = 99.99
    """percent of the values of an activation that --calibrate percentile keeps"""

    name: ClassVar[str] = "quantize-activations"
    stage: ClassVar[Stage] = Stage.ROUNDING
    useless_without: ClassVar[str | None] = "quantize-weights"

    @property
    def needs(self) -> Needs:
        return Needs(ranges=self.activations in ("static", "mixed"))

    def problem(self) -> str | None:
        if not 50 < self.percentile <= 100:
            return f"percentile must be above 50 and at most 100, not {self.percentile:g}"
        return None

    def needed_opset(self, form: str) -> tuple[int, str]:
        if self.activations in ("static", "mixed"):
            return _STATIC_FROM_OPSET, "QuantizeLinear takes one scale a channel from opset 13 on"
        return _DYNAMIC_FROM_OPSET, "there is no DynamicQuantizeLinear before opset 11"

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        if self.activations == "mixed":
            raise UsageError(
                f"{self.name}: mixed is chosen by running files (quantize, run); name static or dynamic here"
            )
        weights, outcomes = self.select(model)
        if self.activations == "float":
            return [
                *outcomes,
                *(Skipped(weight.name, self.name, "activations stay floating point") for weight in weights),
            ]
        check_globs(self.dynamic, weights)
        dynamic = [weight for weight in weights if self.activations == "dynamic" or matches(weight, self.dynamic)]
        outcomes += [self._dynamic(weight, context) for weight in dynamic]
        others = [weight for weight in weights if weight not in dynamic]
        if others and context.calibration is None:
            raise UsageError(f"{self.name} needs calibration data")
        return [*outcomes, *(self._static(model, others, context.calibration, context) if context.calibration else ())]

    def _dynamic(self, weight: Weight, context: Context) -> Outcome:
        reason = context.spared(weight) or unsuitable(weight, context.storing)
        if reason is not None:
            return Skipped(weight.name, self.name, reason)
        prefer_form(weight.value, "integer")
        return Rewritten(weight.name, self.name, "multiplied in integers, with scales computed at every inference")

    def _static(
        self, model: Model, weights: Sequence[Weight], calibration: Calibration, context: Context
    ) -> list[Outcome]:
        reasons = {id(weight.value): context.spared(weight) or _reason_against(model, weight) for weight in weights}
        if calibration.made_up:
            fed = (weight for weight in weights if any(_is_fed(use.node) for use in weight.uses))
            reasons |= {id(weight.value): _UNKNOWN_INPUT for weight in fed}
        able = [weight for weight in weights if reasons[id(weight.value)] is None]
        names = dict.fromkeys(
            str(value.name) for weight in able for use in weight.uses for value in _rounded_at(use.node)
        )
        ranges = calibration.ranges(model, list(names), Estimator(self.calibrate, self.percentile)) if names else {}
        chosen: dict[ir.Node, None] = {}
        outcomes: list[Outcome] = []
        for weight in weights:
            reason = reasons[id(weight.value)] or _unknown(weight, ranges)
            if reason is not None:
                outcomes.append(Skipped(weight.name, self.name, reason))
                continue
            prefer_form(weight.value, "dequantize", packs=context.storing.form != "dequantize")
            chosen.update({use.node: None for use in weight.uses})
            kept = (ranges[str(use.node.inputs[0].name)] for use in weight.uses)  # type: ignore[union-attr]
            said = dict.fromkeys(f"{each.low:.3g} to {each.high:.3g}" for each in kept if not isinstance(each, str))
            outcomes.append(Rewritten(weight.name, self.name, f"multiplied in integers, data of {', '.join(said)}"))
        rounder = _Rounder(Editor(model), ranges)
        for node in [node for node in model.ir.graph if node in chosen]:  # results come before what reads them
            rounder.round(node)
        return outcomes


class _Rounder:
    """Rounds what nodes read and give, each value once."""

    def __init__(self, editor: Editor, ranges: Mapping[str, ActivationRange | str]) -> None:
        self._editor, self._ranges = editor, ranges
        self._rounded: dict[ir.Value, ir.Value] = {}

    def round(self, node: ir.Node) -> None:
        """The data of one node, and of a Conv its result."""
        data = node.inputs[0]
        assert data is not None, "an operand of a product"
        if data in self._rounded:
            node.replace_input_with(0, self._rounded[data])
        elif rounding_of(data) is None:
            rounding = _rounding_before(data) or self._measured(data)
            self._rounded[data] = round_value(self._editor, data, rounding, [node])
        if standard_op(node) == "Conv" and (result := _result_of(node)) not in self._rounded:
            self._rounded[result] = round_value(self._editor, result, self._measured(result), None)

    def _measured(self, value: ir.Value) -> Rounding:
        known = self._ranges[str(value.name)]
        assert isinstance(known, ActivationRange), "others are no operands of what is rounded"
        return rounding_for(known.low, known.high)


def _is_fed(node: ir.Node) -> bool:
    """True if its data are an input of the model, maybe rearranged."""
    data = operand(node, 0)
    while data is not None and (producer := data.producer()) is not None and standard_op(producer) in MOVES:
        data = operand(producer, 0)
    return data is not None and data.is_graph_input()


def _rounded_at(node: ir.Node) -> Iterator[ir.Value]:
    """What has to be rounded so that the product is one of integers."""
    data = node.inputs[0]
    assert data is not None, "an operand of a product"
    yield data
    if standard_op(node) == "Conv":
        yield _result_of(node)


def _result_of(node: ir.Node) -> ir.Value:
    """Where onnxruntime looks for the rounded result: behind an activation that it computes with the node."""
    result = node.outputs[0]
    while (reader := only_reader(result)) is not None and _is_fused(reader):
        result = reader.outputs[0]
    return result


def _is_fused(node: ir.Node) -> bool:
    if standard_op(node) == "Clip":
        return all(value is None or constant_tensor(value) is not None for value in node.inputs[1:])
    return standard_op(node) == "Relu"


def _rounding_before(data: ir.Value) -> Rounding | None:
    """That of the value of which `data` is moved: then it is moved as integers."""
    producer = data.producer()
    while producer is not None and standard_op(producer) in MOVES:
        moved = operand(producer, 0)
        rounding = rounding_of(moved)
        if rounding is not None:
            return rounding
        producer = moved.producer() if moved is not None else None
    return None


def _reason_against(model: Model, weight: Weight) -> str | None:
    """Why its products cannot be computed in integers."""
    if weight.dtype != ir.DataType.FLOAT:
        return "integer kernels give float32 alone"
    if len(weight.value.uses()) != len(weight.uses):
        return "something else reads it as well"
    if len({use.channel_axes for use in weight.uses}) > 1:
        return "it is read transposed and as it is"
    return next(filter(None, (_reason_against_use(model, weight, use) for use in weight.uses)), None)


def _reason_against_use(model: Model, weight: Weight, use: Use) -> str | None:
    node = use.node
    if node.graph is not model.ir.graph:
        return f"{INSIDE}: calibration does not go there"
    if standard_op(node) == "Conv":
        reason = None if use.direct and use.index == 1 else "it is not read directly"
    else:
        plain = len(weight.shape) == 2 and is_plain_product(use)
        reason = None if plain else "integer kernels are for Conv, plain Gemm, and MatMul with a matrix on the right"
    return reason or _reason_against_bias(operand(node, 2))


def _reason_against_bias(bias: ir.Value | None) -> str | None:
    """Why it can be no integer of a channel."""
    if bias is None:
        return None
    tensor = float_constant(bias)
    if tensor is None:
        return "its bias is no constant"
    if any(int(size) != 1 for size in tensor.shape.numpy()[:-1]):
        return "its bias differs by row"
    return None if np.isfinite(tensor.numpy()).all() else "its bias is not finite"


def _unknown(weight: Weight, ranges: Mapping[str, ActivationRange | str]) -> str | None:
    """Why something that it needs has no range to which it can be rounded."""
    for use in weight.uses:
        for value in _rounded_at(use.node):
            known = ranges[str(value.name)]
            if isinstance(known, str):
                return f"{value.name}: {known}"
            if known.low == known.high:
                return f"{value.name}: nothing but zeros was seen"
    return None
