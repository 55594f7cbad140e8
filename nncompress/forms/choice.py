"""In which form and layout an encoding is stored, and in how many bytes: the only place that decides and counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nncompress.forms import ALL_FORMS
from nncompress.forms.form import DEFAULT_FORM, Form, Storing
from nncompress.forms.layouts import LARGEST_FOLDED_BYTES, Layout, cheapest_layout
from nncompress.model.constants import find_constants
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, all_constants
from nncompress.numerics.encoded import Encoded


@dataclass(frozen=True)
class Choice:
    """How a weight will lie in the file."""

    form: Form[Any]
    layout: Layout
    size_bytes: int  # of tensor data, exactly
    node_bytes: int  # nodes, names and headers, estimated
    note: str | None = None  # why it is not the form that was asked for, or what to expect of it

    @property
    def name(self) -> str:
        """ "folded", "folded, sparse-mask", "sparse-mask", "dense" ..."""
        return ", ".join(part for part in (self.form.name, self.layout.name) if part != "dense") or "dense"

    @property
    def total_bytes(self) -> int:
        """All of it in the file."""
        return self.size_bytes + self.node_bytes


def cheapest(weight: Weight, encoded: Encoded, storing: Storing) -> Choice:
    """The form asked for wherever it can hold the weight, otherwise the one of least `total_bytes`."""
    storing = storing.of(weight)
    reasons = _obstacles(weight, encoded, storing)
    able = [form for form in ALL_FORMS if form.name in reasons and reasons[form.name] is None]
    requested = [form for form in able if form.on_request and form.name == storing.form]
    candidates = requested or [form for form in able if not form.on_request]
    assert candidates, f"no form holds this {type(encoded).__name__}: {reasons}"
    best = min((_choice(form, weight, encoded, storing) for form in candidates), key=lambda choice: choice.total_bytes)
    note = reasons.get(storing.form) if storing.form != DEFAULT_FORM else None
    if best.form.decoded_at_load and 4 * weight.size > LARGEST_FOLDED_BYTES:
        note = "onnxruntime does not decode constants above 1 GiB at load: expect slow inference"
    return replace(best, note=note)


def obstacle(weight: Weight, encoded: Encoded, storing: Storing) -> str | None:
    """Why no form can hold the weight; None if one can."""
    reasons = _obstacles(weight, encoded, storing.of(weight))
    return None if None in reasons.values() else "; ".join(reason for reason in reasons.values() if reason)


def saves(weight: Weight, choice: Choice) -> bool:
    """True if the weight takes fewer bytes so than as plain values."""
    return choice.total_bytes < weight.tensor.nbytes


def constant_bytes(model: Model, storing: Storing) -> int:
    """Bytes of all constants if `store` ran now, exactly. Nothing is drafted."""
    stored = {
        id(weight.value): cheapest(weight, encoded, storing).size_bytes
        for weight in all_constants(model)
        if (encoded := encoded_of(weight)) is not None
    }
    return sum(stored.get(id(value), tensor.nbytes) for value, tensor, _ in find_constants(model))


def _obstacles(weight: Weight, encoded: Encoded, storing: Storing) -> dict[str, str | None]:
    """By name of each form for such an encoding, why it cannot hold the weight."""
    return {form.name: _obstacle(form, weight, encoded, storing) for form in ALL_FORMS if form.holds is type(encoded)}


def _obstacle(form: Form[Any], weight: Weight, encoded: Encoded, storing: Storing) -> str | None:
    if storing.target not in form.targets:
        return f"form {form.name} has operators that not every runtime knows"
    if storing.opset < form.least_opset:
        return f"form {form.name} needs opset {form.least_opset}, and the model has {storing.opset}"
    return form.obstacle(weight, encoded, storing)


def _choice(form: Form[Any], weight: Weight, encoded: Encoded, storing: Storing) -> Choice:
    layout = cheapest_layout(form.payload(weight, encoded), storing.opset)
    nodes = form.node_bytes(encoded, storing.opset) + layout.node_bytes
    return Choice(form, layout, form.size_bytes(weight, encoded, layout, storing.opset), nodes)
