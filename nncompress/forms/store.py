"""Writes every encoding that rides on a weight into the graph, in the cheapest form that the options allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nncompress.forms import dequantize, folded, gather_dequantize
from nncompress.forms.layouts import LARGEST_FOLDED_BYTES, Layout, cheapest_layout
from nncompress.model.edit import Draft, Names, put_in_place
from nncompress.model.encoding import Encoded, encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.affine import Affine
from nncompress.numerics.sparse import Pruned

FormChoice = Literal["folded", "dequantize"]


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
    if isinstance(encoded, Pruned):
        return _store_pruned(model, weight, encoded, names)
    assert isinstance(encoded, Affine), f"no form holds a {type(encoded).__name__}"
    note = dequantize.obstacle(encoded, model.opset) if form == "dequantize" else None
    layout = _layout(encoded, model)
    if gather_dequantize.obstacle(weight, encoded) is None and layout.name == "dense":
        return _store_table(model, weight, encoded, names)
    if form == "dequantize" and note is None:
        return _store_dequantize(model, weight, encoded, names)
    draft = Draft(names)
    result = folded.decode(draft, layout.draft(draft), encoded, weight.dtype)
    put_in_place(model, weight, draft, result)
    if 4 * weight.size > LARGEST_FOLDED_BYTES:
        note = "onnxruntime does not decode constants above 1 GiB at load: expect slow inference"
    return _stored(weight, _named("folded", layout), draft, note)


def _store_dequantize(model: Model, weight: Weight, affine: Affine, names: Names) -> Stored:
    draft = Draft(names)
    rows = dequantize.needs_rows(affine)
    codes, shape = dequantize.rows_of(affine) if rows else (affine.codes, affine.shape)
    layout = cheapest_layout(codes, shape, _code_type(affine), None, model.opset)
    result = dequantize.decode(draft, layout.draft(draft), affine, weight.dtype)
    put_in_place(model, weight, draft, result)
    return _stored(weight, "dequantize", draft)


def _store_table(model: Model, weight: Weight, affine: Affine, names: Names) -> Stored:
    draft = Draft(names)
    codes = cheapest_layout(affine.codes, affine.shape, _code_type(affine), None, model.opset).draft(draft)
    gather_dequantize.replace_lookups(model, weight, draft, codes, affine)
    return _stored(weight, "gather-dequantize", draft)


def _store_pruned(model: Model, weight: Weight, pruned: Pruned, names: Names) -> Stored:
    layout = cheapest_layout(pruned.values, pruned.shape, weight.dtype.numpy(), pruned.nonzeros, model.opset)
    if layout.name == "dense":
        return Stored(weight.name, "dense", weight.tensor.nbytes)
    draft = Draft(names)
    put_in_place(model, weight, draft, layout.draft(draft))
    return _stored(weight, layout.name, draft)


def _layout(affine: Affine, model: Model) -> Layout:
    sparse = affine.nonzeros if affine.zero_point is None and affine.signed else None
    return cheapest_layout(affine.codes, affine.shape, _code_type(affine), sparse, model.opset)


def _code_type(affine: Affine) -> np.dtype:
    return np.dtype(np.int8 if affine.signed else np.uint8)


def _named(form: str, layout: Layout) -> str:
    return form if layout.name == "dense" else f"{form}, {layout.name}"


def _stored(weight: Weight, form: str, draft: Draft, note: str | None = None) -> Stored:
    sizes = [value.const_value.nbytes for value in draft.constants if value.const_value is not None]
    return Stored(weight.name, form, sum(sizes), note)
