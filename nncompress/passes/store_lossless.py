"""Pass `store-lossless`: constants are stored smaller, and every bit of them comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from nncompress.forms.choice import cheapest, obstacle, saves
from nncompress.forms.form import DEFAULT_FORM
from nncompress.forms.layouts import LARGEST_FOLDED_BYTES
from nncompress.model.computed import may_be_computed
from nncompress.model.encoding import attach, encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, all_constants
from nncompress.numerics.encoded import Encoded
from nncompress.numerics.exact import EXACT_TYPES, exact_encodings
from nncompress.numerics.exact_affine import exact_affine
from nncompress.numerics.sampling import sampled_places
from nncompress.passes.base import Stage, WeightPass
from nncompress.passes.context import Context
from nncompress.passes.parallel import in_parallel
from nncompress.results.record import Outcome, Rewritten, Skipped

_NAMES = {{"float32": "float", "float64": "double"}.get(name, name) for name in EXACT_TYPES}  # as ONNX calls them
_NOTHING = "it cannot be stored smaller without changing it"


@dataclass(frozen=True)
class StoreLossless(WeightPass):
    """Stores weights and other constants smaller where every bit comes back when a session is made.

    Zeros and repeated values, floats that float16, bfloat16 or an integer (with a scale, if need be) holds exactly, few
    different values, and whole numbers of more bytes than they need; besides, what every command does: QuantizeLinear
    of a constant becomes its codes, duplicates are stored once, and what nothing reads is dropped.
    """

    min_size: int = 256
    """leave constants with fewer elements alone"""

    name: ClassVar[str] = "store-lossless"
    stage: ClassVar[Stage] = Stage.ENCODINGS
    takes_elementwise: ClassVar[bool] = True

    def needed_opset(self, form: str) -> tuple[int, str]:
        """Any will do: the converter would change what is computed."""
        return 0, "nothing is raised"

    def considered(self, model: Model) -> list[Weight]:
        """Every constant that a node may take the place of."""
        return [weight for weight in all_constants(model) if weight.uses or _is_replaceable(weight)]

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        considered = self.considered(model)
        chosen, skipped = self.selected(model, considered)
        weights = {weight.name for weight in considered if weight.uses}
        outcomes = [outcome for outcome in skipped if outcome.subject in weights]
        for weight, exact in in_parallel(chosen, lambda weight: _smallest(weight, context), context.threads):
            if not isinstance(exact, str):
                attach(weight, exact[0])
                outcomes.append(Rewritten(weight.name, self.name, f"{exact[1]}; exact"))
            elif weight.uses:
                outcomes.append(Skipped(weight.name, self.name, exact))
        return outcomes


def store_rest(model: Model, context: Context) -> list[Outcome]:
    """What can be had for nothing of the constants that no pass has done anything to."""
    return [outcome for outcome in StoreLossless().apply(model, context) if isinstance(outcome, Rewritten)]


def _is_replaceable(weight: Weight) -> bool:
    return weight.dtype.name.lower() in _NAMES and may_be_computed(weight.value)


def _smallest(weight: Weight, context: Context) -> tuple[Encoded, str] | str:
    """The encoding of fewest bytes, in words too; or why the weight stays as it is."""
    if encoded_of(weight) is not None:
        return "an earlier step stores it already"
    if max(4 * weight.size, weight.tensor.nbytes) > LARGEST_FOLDED_BYTES:
        return "onnxruntime computes no constant of more than 1 GiB at load"
    able = [
        (cheapest(weight, encoded, context.storing), encoded, words)
        for encoded, words in _candidates(weight, context)
        if obstacle(weight, encoded, context.storing) is None
    ]
    paying = [(choice.total_bytes, encoded, words) for choice, encoded, words in able if saves(weight, choice)]
    if not paying:
        return _NOTHING
    _, encoded, words = min(paying, key=lambda entry: entry[0])
    return encoded, words


def _candidates(weight: Weight, context: Context) -> Iterator[tuple[Encoded, str]]:
    """All that holds every bit, in words too."""
    read = weight.tensor.numpy
    array = read()
    sample = array.reshape(-1)[sampled_places(weight.size)]  # which rules most weights out
    if next(exact_encodings(sample, lambda: sample), None) is not None:
        yield from exact_encodings(array, read)
    if weight.dtype != ir.DataType.FLOAT or context.storing.form != DEFAULT_FORM:
        return  # DequantizeLinear before a MatMul would be computed in another way
    for axes in dict.fromkeys([(), weight.channel_axes if weight.uses else ()]):
        affine = exact_affine(array, axes, read)
        if affine is not None:
            scales = f"a scale for each channel (axis {', '.join(map(str, axes))})" if axes else "one scale"
            yield affine, f"{affine.code_type.name} codes times {scales}"
