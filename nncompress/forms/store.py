"""Writes every encoding that rides on a weight into the graph, in the cheapest form that the options allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nncompress.forms import dequantize, folded, gather_dequantize
from nncompress.forms.choice import FormChoice, choose
from nncompress.forms.layouts import LARGEST_FOLDED_BYTES, Layout, cheapest_layout
from nncompress.model.edit import Draft, Names, put_in_place
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.affine import Affine
from nncompress.numerics.encoded import Encoded


@dataclass(frozen=True)
class Stored:
    """How one weight lies in the file now."""

    weight: str
    form: str  # "folded", "folded, sparse-mask", "dense" ...
    size_bytes: int  # of its constants
    note: str | None = None  # why it is not the form that was asked for, or what to expect of it


def store(model: Model, form: FormChoice = "folded") -> dict[int, Stored]:
    """Replaces all encodings in place; the result is by `id` of the value that held the weight."""
    names = Names(model)
    done: dict[int, Stored] = {}
    for weight in find_weights(model):
        encoded = encoded_of(weight)
        if encoded is not None:
            done[id(weight.value)] = _store(model, weight, encoded, form, names)
    return done


def _store(model: Model, weight: Weight, encoded: Encoded, form: FormChoice, names: Names) -> Stored:
    chosen = choose(weight, encoded, form, model.opset)
    if chosen.form == "values":
        return _store_values(model, weight, chosen.layout, names)
    assert isinstance(encoded, Affine), f"no form holds a {type(encoded).__name__}"
    if chosen.form == "gather-dequantize":
        return _store_table(model, weight, encoded, chosen.layout, names)
    if chosen.form == "dequantize":
        return _store_dequantize(model, weight, encoded, names)
    draft, note = Draft(names), chosen.note
    result = folded.decode(draft, chosen.layout.draft(draft), encoded, weight.dtype)
    put_in_place(model, weight, draft, result)
    if 4 * weight.size > LARGEST_FOLDED_BYTES:
        note = "onnxruntime does not decode constants above 1 GiB at load: expect slow inference"
    return _stored(weight, _named("folded", chosen.layout), draft, note)


def _store_dequantize(model: Model, weight: Weight, affine: Affine, names: Names) -> Stored:
    draft = Draft(names)
    rows = dequantize.needs_rows(affine)
    codes, shape = dequantize.rows_of(affine) if rows else (affine.codes, affine.shape)
    layout = cheapest_layout(codes, shape, _code_type(affine), None, model.opset)
    result = dequantize.decode(draft, layout.draft(draft), affine, weight.dtype)
    put_in_place(model, weight, draft, result)
    return _stored(weight, "dequantize", draft)


def _store_table(model: Model, weight: Weight, affine: Affine, layout: Layout, names: Names) -> Stored:
    draft = Draft(names)
    gather_dequantize.replace_lookups(model, weight, draft, layout.draft(draft), affine)
    return _stored(weight, "gather-dequantize", draft)


def _store_values(model: Model, weight: Weight, layout: Layout, names: Names) -> Stored:
    if layout.name == "dense":
        return Stored(weight.name, "dense", weight.tensor.nbytes)
    draft = Draft(names)
    put_in_place(model, weight, draft, layout.draft(draft))
    return _stored(weight, layout.name, draft)


def _code_type(affine: Affine) -> np.dtype:
    return np.dtype(np.int8 if affine.signed else np.uint8)


def _named(form: str, layout: Layout) -> str:
    return form if layout.name == "dense" else f"{form}, {layout.name}"


def _stored(weight: Weight, form: str, draft: Draft, note: str | None = None) -> Stored:
    sizes = [value.const_value.nbytes for value in draft.constants if value.const_value is not None]
    return Stored(weight.name, form, sum(sizes), note)
