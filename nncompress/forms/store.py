"""Writes every encoding that rides on a constant into the graph, in the form that `cheapest` picks."""

from __future__ import annotations

from nncompress.forms.choice import Choice, cheapest
from nncompress.forms.form import Storing
from nncompress.model.edit import Editor
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.model.weights import Weight, all_constants


def store(model: Model, storing: Storing) -> dict[int, tuple[str, Choice]]:
    """Replaces all encodings in place; (name of the constant, its form) by `id` of the value that held it."""
    editor = Editor(model)
    stored: dict[int, tuple[str, Choice]] = {}
    for weight in all_constants(model):
        encoded = encoded_of(weight)
        if encoded is not None and _is_there(weight):
            choice = cheapest(weight, encoded, storing)
            stored[id(weight.value)] = (weight.name, choice)
            choice.form.write(editor, weight, encoded, choice.layout)
    return stored


def _is_there(weight: Weight) -> bool:
    """False for a bias that the form of a weight before it has taken away, and stored in its own way."""
    producer = weight.value.producer()
    if producer is not None:
        return producer.graph is not None
    return weight.scope.initializers.get(weight.name) is weight.value  # type: ignore[union-attr]
