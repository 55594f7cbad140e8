"""The states of recurrent nodes that hand out their last state alone: for a while they have a name, and can be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from nncompress.model.model import Model, op_name

_RECURRENT = ("LSTM", "GRU", "RNN")


@contextmanager
def named_states(models: Sequence[Model]) -> Iterator[None]:
    """Of a node that two models have, they have the same name in both."""
    taken = set[str]().union(*(model.names() for model in models))
    before = []
    for node in (node for model in models for scope in model.scopes() for node in scope):
        other = next((result.name for result in node.outputs if result.name), None)
        if op_name(node) in _RECURRENT and other and not node.outputs[0].name:
            before.append((node.outputs[0], node.outputs[0].name))
            node.outputs[0].name = _unused(f"{other}.states", taken)
    try:
        yield
    finally:
        for states, name in before:
            states.name = name


def _unused(name: str, taken: Collection[str]) -> str:
    """The name, or the first longer one that nothing has."""
    return name if name not in taken else _unused(f"{name}.", taken)
