"""The smallest weights of a model, which save next to nothing and may do as much damage as large ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nncompress.model.encoding import preferred_form
from nncompress.model.weights import Weight

Gentler = Literal["float16", "8 bits"]
_SMALLEST_SHARE, _SMALL_SHARE = 0.001, 0.03  # of the bytes of all weights


def smallest(weights: Sequence[Weight], among: Sequence[Weight], *, halves: bool, eights: bool) -> dict[str, Gentler]:
    """{name: what it becomes} of those among these that make up so little of all `weights` that more bits cost next to
    nothing: `halves` and `eights` say whether they may be float16 or integers of 8 bits."""
    total = sum(weight.tensor.nbytes for weight in weights)
    in_half, in_eight = _SMALLEST_SHARE * total * halves, _SMALL_SHARE * total * eights
    found: dict[str, Gentler] = {}
    for weight in sorted(among, key=lambda weight: (weight.tensor.nbytes, weight.name)):
        in_half, in_eight = in_half - weight.tensor.nbytes, in_eight - weight.tensor.nbytes
        if max(in_half, in_eight) < 0:
            break
        if preferred_form(weight.value) is None:
            found[weight.name] = "float16" if in_half >= 0 else "8 bits"
        elif eights:
            found[weight.name] = "8 bits"  # multiplied in integers
    return found
