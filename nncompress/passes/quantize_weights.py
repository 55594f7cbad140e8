"""Pass `quantize-weights`: weights become 8-bit integers with a scale, or half-precision floats."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from nncompress.errors import UsageError
from nncompress.forms import bits_of, needed_opset
from nncompress.forms.form import DEFAULT_FORM
from nncompress.forms.narrow import BFLOAT16_FROM_OPSET
from nncompress.model.encoding import encoded_of, hold_as_floats, is_whole, preferred_form
from nncompress.model.model import Model
from nncompress.model.one_sign import fed_one_sign
from nncompress.model.small_constants import find_small_constants
from nncompress.model.weights import Weight
from nncompress.numerics.affine import Quantized, against, quantize
from nncompress.numerics.denormal import without_tiny
from nncompress.numerics.equalise import equalised
from nncompress.numerics.grid import Range
from nncompress.numerics.half import HALVES
from nncompress.numerics.saturation import KeptApart
from nncompress.numerics.second_order import CROSSED
from nncompress.passes.base import Stage, unfit
from nncompress.passes.context import Context
from nncompress.passes.encoding import Encoding, asked_grain, attached, block_problem, felt, in_half, kinds_of_scales
from nncompress.passes.option_types import Share, zeros_problem
from nncompress.passes.pruning import thinned
from nncompress.passes.rules import RuledPass
from nncompress.passes.saturating import kept_apart, said
from nncompress.passes.second_order import (
    SECOND_ORDER,
    TO_NEAREST,
    Known,
    Method,
    by_products,
    encoded_in_order,
    rounded_anew,
)
from nncompress.passes.small_constants import halved
from nncompress.passes.smallest import Gentler, smallest
from nncompress.passes.statistics import BY_OUTPUT, Inputs, Needs
from nncompress.results.record import Outcome, Rewritten

_OF_INTEGERS = ("bits", "sparsity", "block", "symmetric", "granularity", "scales", "range", "method", "cpu")
_ONE_OF_THE_SMALLEST = "one of the smallest (--smallest same)"


@dataclass(frozen=True)
class QuantizeWeights(RuledPass):
    """Stores each weight as 8-bit integers with a scale (and a zero point): about a quarter of the size.

    Computation stays in floating point, so speed does not change. One scale for each output channel keeps the error
    small; tables that are looked up get one scale a row. As float16 or bfloat16, a weight takes half of its size and
    loses next to nothing.
    """

    bits: Literal[2, 3, 4, 5, 6, 7, 8] = 8
    """bits of one integer; fewer than 8 are packed without gaps (form folded, opset 11), 4 and 2 may be types of their
    own (form dequantize, opset 21 and 25)"""
    sparsity: Share = field(default=0.0, metadata={"metavar": "SHARE"})
    """share of the values of each weight that become zero before the others are rounded, 0 to 1 or in percent: with
    calibration data those without which the others can best make up for the rest (obs), and these do; else the
    smallest. Stored as a mask or as distances. Not of constants that are used as they are"""
    dtype: Literal["int8", "uint8", "float16", "bfloat16"] = "int8"
    """type of the stored numbers"""
    symmetric: bool | None = field(default=None, metadata={"option": "--symmetric/--asymmetric"})
    """zero point in the middle; otherwise the range of the values is used in full. Not given: zero points where they
    lower the error by more than 2 dB, and 1 more for each percent that they add; none in the forms dequantize
    and integer"""
    granularity: Literal["auto", "channel", "tensor"] = field(default="auto", metadata={"option": "--per"})
    """one scale for each output channel, or one for the whole tensor; auto: for each channel, unless all have much the
    same"""
    scales: Literal["auto", "float32"] = "auto"
    """type of the scales; auto: float16, bfloat16 or whole multiples of one number, where the codes lose less by it
    than the bytes are worth; float32 in the forms dequantize and integer"""
    block: int | None = None
    """one scale for each block of so many inputs of a channel, or the most below that which divide them; not given: for
    the whole channel"""
    range: Range = "mse"
    """where values are clipped; mse: where the squared error is least; minmax: nowhere; half-quadratic: towards
    the least sum of |error|^0.7, without data: more values are nearly exact, and more are clipped"""
    equalise: bool = True
    """a second scale along the input axis for weights with outliers there (symmetric int8 only)"""
    tables: Literal["codes", "floats"] = "codes"
    """tables of 8 bits that are looked up: a session holds codes, and scales rows that are found; or floats, unpacked
    at load as all else is, for more memory and less time (floats with --for speed and both, unless given)"""
    only_if_smaller: bool = field(default=True, metadata={"option": "--only-if-smaller/--even-if-larger"})
    """leave weights alone whose scales and decoding nodes would eat the gain"""
    small_constants: Literal["float16", "bfloat16", "keep"] = "float16"
    """type of biases, parameters of normalisation and constants that are added, multiplied or the like with what layers
    compute, where that saves bytes and leaves --elementwise-db, in form folded; no biases that a later pass moves"""
    method: Method = "auto"
    """how codes are chosen: each value rounded to the nearest (rtn); or, with calibration data, so that what the weight
    computes moves least (gptq): what rounding one value loses, those make up for that are rounded after it, weight by
    weight in the order of the graph, each against the network as it is by then. auto: gptq below 8 bits where there are
    data"""
    smallest: Literal["float16", "same"] = "float16"
    """the smallest weights, which together make up 0.1 % of all, as float16, and with fewer than 8 bits those that make
    up 3 % in 8 bits (form dequantize has no float16): each may do as much damage as a large one, and they save next to
    nothing; or the same as the others"""
    elementwise_db: float = field(default=50.0, metadata={"option": "--elementwise-db"})
    """least SQNR of constants that are added or multiplied as they are; what integers cannot keep becomes float16"""
    cpu: Literal["native", "portable"] = "native"
    """where products in integers have to be right: on processors like this one (native), or on any (portable). x86
    without VNNI adds two products in 16 bits, and cuts off what is larger: pairs of neighbours for which that can
    happen, and no others, are moved apart, or get a larger scale"""

    name: ClassVar[str] = "quantize-weights"
    stage: ClassVar[Stage] = Stage.ENCODINGS
    takes_elementwise: ClassVar[bool] = True
    of_the_step: ClassVar[frozenset[str]] = frozenset({"small_constants", "smallest"})

    def problem(self) -> str | None:
        wrong = block_problem(self.block, self.granularity) or zeros_problem(self.sparsity)
        if wrong:
            return wrong
        changed = [name for name in _OF_INTEGERS if getattr(self, name) != getattr(type(self), name)]
        if self.dtype in HALVES and changed:
            return f"{' and '.join(changed)}: only for integers, and {self.dtype} is none"
        return super().problem()

    @property
    def needs(self) -> Needs:
        return Needs(grams=any(variant.method == SECOND_ORDER for variant in self.variants()))

    @property
    def uses(self) -> Needs:
        integers = [variant for variant in self.variants() if variant.dtype not in HALVES]
        return Needs(
            inputs=any(variant.symmetric is None or variant.range == "mse" for variant in integers),
            grams=any(by_products(variant.method, variant.bits) or variant.sparsity for variant in integers),
        )

    def spares(self, weight: Weight) -> str | None:
        own = self.of(weight).dtype
        return super().spares(weight) or (f"a rule stores it as {own}" if own in HALVES and own != self.dtype else None)

    def not_inherited(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.get("dtype") not in HALVES:
            return {}
        return {name: getattr(type(self), name) for name in _OF_INTEGERS}

    def needed_opset(self, form: str) -> tuple[int, str]:
        if self.rules:
            return max(variant.needed_opset(form) for variant in self.variants())
        needs = [super().needed_opset(form)]
        if self.dtype == "bfloat16" or (self.small_constants == "bfloat16" and form == DEFAULT_FORM):
            needs.append((BFLOAT16_FROM_OPSET, f"there is no bfloat16 before opset {BFLOAT16_FROM_OPSET}"))
        per_channel = self.granularity != "tensor" and self.dtype not in HALVES
        opset = needed_opset(form, per_channel=per_channel, bits=self.bits)
        with_ = f" with {self.bits} bits" if self.bits < 8 else " with one scale a channel" * per_channel
        needs.append((opset, f"there is no form {form}{with_} before opset {opset}"))
        return max(needs, key=lambda need: need[0])

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        form = context.storing.form
        for bits in {variant.bits for variant in self.variants()} - set(bits_of(form)):
            having = " and ".join(map(str, bits_of(form))).replace(" and ", ", ", len(bits_of(form)) - 2)
            raise UsageError(
                f"{self.name}: form {form} has {having} bits, {DEFAULT_FORM} has {bits}: leave --bits or --form out"
            )
        considered = self.considered(model)
        weights, outcomes = self.selected(model, considered)
        small = self._smallest(considered, context)
        counts = felt(model, weights, context) if self.uses.inputs else {}

        def encode(weight: Weight, known: Known) -> str | Encoding:
            return self.of(weight)._encoded(weight, context, known, small=small.get(weight.name))

        for weight, encoding in encoded_in_order(
            model, weights, counts, lambda weight: self._by_products(weight, small), encode, context
        ):
            own = self.of(weight)
            hold_as_floats(weight.value, own.tables == "floats")
            outcomes.append(attached(weight, encoding, self.name, context, only_if_smaller=own.only_if_smaller))
        changed = any(isinstance(outcome, Rewritten) for outcome in outcomes) or any(map(encoded_of, considered))
        return [*outcomes, *(self._small_constants(model, context) if changed else ())]

    def _by_products(self, weight: Weight, small: Collection[str]) -> bool:
        """Whether products of its inputs are to choose the codes of the weight."""
        own = self.of(weight)
        if own.dtype in HALVES or weight.is_elementwise or weight.name in small:
            return False
        return by_products(own.method, 8 if is_whole(weight.value) else own.bits) or own._thins(weight)

    def _small_constants(self, model: Model, context: Context) -> list[Outcome]:
        """What is stored in half precision of the constants that are no weights."""
        if self.small_constants == "keep" or context.storing.form != DEFAULT_FORM:
            return []
        taking = replace(self, min_size=1)  # what is too small shows in bytes
        found = [small for small in find_small_constants(model) if taking._reason_against(small.constant) is None]
        return halved(found, self.small_constants, self.elementwise_db, self.name, context)

    def _smallest(self, weights: Sequence[Weight], context: Context) -> dict[str, Gentler]:
        """Names of those that together make up so little that more bits cost next to nothing, and in what they are."""
        if self.smallest == "same" or self.dtype in HALVES:
            return {}
        among = [weight for weight in weights if self.rule_of(weight) is None]
        return smallest(weights, among, halves=context.storing.form != "dequantize", eights=self.bits < 8)

    def _encoded(
        self, weight: Weight, context: Context, known: Known, *, small: Gentler | None = None
    ) -> str | Encoding:
        """What it becomes; or the reason to leave it alone."""
        array = weight.array()
        reason = unfit(array)
        if reason:
            return reason
        if self.dtype in HALVES:
            return in_half(weight, array, self.dtype, context)
        why = self._reason_for_eight(weight, small) if self.bits < 8 else None
        if why is not None:
            made = replace(self, bits=8, sparsity=0.0, block=None, smallest="same")._encoded(weight, context, known)
            return made if isinstance(made, str) else replace(made, detail=f"{made.detail}: {why}")
        if small and not isinstance(half := in_half(weight, array, "float16", context), str):
            return replace(half, detail=f"float16: {_ONE_OF_THE_SMALLEST}")
        integers, apart = self._quantized(weight, array, context, known)
        if weight.is_elementwise and self._is_short(integers.sqnr_db):
            return self._instead(weight, array, integers.sqnr_db, context)
        by_output = f", {BY_OUTPUT}" if known.importance is not None else ""
        detail = f"{self._detail(weight, integers)}{by_output}{known.said(SECOND_ORDER, TO_NEAREST)}{said(apart)}"
        return Encoding(integers.affine, detail, integers.sqnr_db)

    def _reason_for_eight(self, weight: Weight, small: str | None) -> str | None:
        """Why it has 8 bits where others have fewer."""
        if is_whole(weight.value):
            return "products in integers have 8 bits in form dequantize"
        if weight.is_elementwise:
            return "its values are used as they are"
        return _ONE_OF_THE_SMALLEST if small == "8 bits" else None

    def _is_short(self, sqnr_db: float | None) -> bool:
        """True for less than constants need that are used as they are; None is exact."""
        return sqnr_db is not None and sqnr_db < self.elementwise_db

    def _instead(self, weight: Weight, array: np.ndarray, sqnr_db: float | None, context: Context) -> str | Encoding:
        """As float16, where integers are not exact enough for values that are used as they are."""
        short = f"{self.dtype} would leave {sqnr_db:.1f} dB of values that are used as they are (--elementwise-db)"
        half = in_half(weight, array, "float16", context)
        if isinstance(half, str) or self._is_short(half.sqnr_db):
            return short
        return replace(half, detail=f"float16: {short}")

    def _quantized(
        self, weight: Weight, array: np.ndarray, context: Context, known: Known
    ) -> tuple[Quantized, KeptApart]:
        """Its codes, and what it took that sums do not saturate."""
        dtype, signed = weight.dtype.numpy(), self.dtype == "int8"
        in_integers = preferred_form(weight.value) is not None
        grain = asked_grain(weight, self.granularity, None if weight.is_elementwise or in_integers else self.block)
        storing, exact = context.storing.of(weight), array
        array = array if weight.is_elementwise else without_tiny(array)
        standard = storing.takes_plain_scales
        thins = self._thins(weight)
        if thins:
            array = thinned(weight, array, self.sparsity, known)
        plain = standard or weight.is_elementwise
        kinds = () if plain else kinds_of_scales(self.granularity, self.scales, storing.opset)
        quantized = functools.partial(
            quantize, channel_axes=grain.channel_axes, bits=self.bits, signed=signed, range_=self.range,
            symmetric=True if self.symmetric is None and (standard or thins) else self.symmetric, store=context.store,
            kinds=kinds,
        )  # fmt: skip
        array, axis = array.reshape(grain.shape), grain.input_axis
        importance = None if known.importance is None else grain.fitted(known.importance)
        balances = bool(grain.channel_axes) and fed_one_sign(weight)
        made = quantized(array, dtype=dtype, importance=importance, outputs=grain.outputs if balances else None)
        plain = not storing.takes_input_scales or in_integers
        balanced = self.equalise and not self.block and signed and self.symmetric is not False
        if balanced and not plain and axis is not None:
            made = equalised(array, made, axis, quantized, dtype, importance)
        if isinstance(known.inputs, Inputs) and by_products(self.method, self.bits):
            crossed = 0.0 if thins else CROSSED  # what is left made up for that already
            made = rounded_anew(array, made, known.inputs, known.threads, context.store, crossed)
        if thins:
            made = against(exact, made)
        made, apart = kept_apart(weight, array, made, importance, context, self.cpu)
        return replace(made, affine=replace(made.affine, shape=weight.shape)), apart

    def _thins(self, weight: Weight) -> bool:
        """Whether some of its values become zero."""
        return self.sparsity > 0 and not weight.is_elementwise and not is_whole(weight.value)

    def _detail(self, weight: Weight, made: Quantized) -> str:
        axes = weight.channel_axes if made.affine.scale.size > 1 else ()
        grain = f"per channel (axis {', '.join(map(str, axes))})" if axes else "per tensor"
        second = ", equalised" if made.affine.input_scale is not None else ""
        kind = self.dtype if self.bits == 8 else f"{self.bits} bits"
        elements = weight.size // made.affine.scale.size
        if self.block and preferred_form(weight.value) is not None:
            grain += " (products in integers have no blocks)"
        grain = f"per block of {elements}" if elements <= (self.block or 0) else grain
        kind += f", {1 - made.affine.nonzeros / weight.size:.0%} zeros" if self._thins(weight) else ""
        return f"{kind}, {'symmetric' if made.symmetric else 'asymmetric'}, {grain}{second}"
