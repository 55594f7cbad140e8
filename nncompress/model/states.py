"""The states of recurrent nodes that hand out their last state alone: for a while they have a name, and can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nncompress.model.model import Model, op_name

_RECURRENT = ("LSTM", "GRU", "RNN")


@contextmanager
def named_states(models: Sequence[Model]) -> Iterator[None]:
    """Of a node that two models have, they have the same name in both."""
    before = []
    for model in models:
        for scope in model.scopes():
            for node in scope:
                states, other = node.outputs[0], next((result.name for result in node.outputs if result.name), None)
                if op_name(node) in _RECURRENT and not states.name and other:
                    before.append((states, states.name))
                    states.name = f"{other}.states"
    try:
        yield
    finally:
        for states, name in before:
            states.name = name
