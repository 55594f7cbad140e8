"""Which outputs of a model are states: as large as an input beside its data, and given to it again at the next step.

That is so of streaming models of speech, and of decoders that are run token by token. Figures are of single steps, each
from the state that the original had; in use, every step begins with what the one before it got wrong.
"""

from __future__ import annotations

import numpy as np

from nncompress.feeds.specs import Feed
from nncompress.runtime.session import OutputArray

Like = tuple[tuple[int, ...], str]  # shape and type


class States:
    """Looks at feeds, and what a model makes of them."""

    def __init__(self) -> None:
        self._found: dict[str, str] | None = None  # {output: input}; None: nothing was looked at

    def add(self, outputs: dict[str, OutputArray], feed: Feed) -> None:
        """One more feed: a state has the size of its input in each of them."""
        given, made = _alike(feed), _alike(outputs)
        pairs: dict[str, str] = {}
        for like, names in made.items():
            inputs = given.get(like, [])
            besides = len(inputs) < len(feed) and len(names) < len(outputs)
            if len(inputs) == len(names) and besides:
                pairs |= dict(zip(names, inputs, strict=True))
        known = pairs if self._found is None else self._found
        self._found = {output: name for output, name in known.items() if pairs.get(output) == name}

    def of(self, output: str) -> str | None:
        """The input that it is the state for."""
        return None if self._found is None else self._found.get(output)


def _alike(arrays: dict[str, OutputArray]) -> dict[Like, list[str]]:
    """Names of the floats of more than one element, by what they are like."""
    found: dict[Like, list[str]] = {}
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size > 1:
            found.setdefault((array.shape, str(array.dtype)), []).append(name)
    return found
