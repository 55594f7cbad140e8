"""Orders parts of a graph by the damage that they do for what they save: each alone, or of very many in halves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nncompress.model.units import Unit
from nncompress.progress import counted

_MOST_ALONE, _MOST_HALVINGS = 48, 12

Part = tuple[Unit, ...]


def by_damage(units: Sequence[Unit], noise: Callable[[Part], float], saved: Callable[[Part], float]) -> list[Part]:
    """Parts of `units`, in the order of the graph, those first that do most damage for what they save: each unit, or of
    very many the parts in which the one that does most is halved again and again. `noise` of a part is what it and
    nothing else loses, `saved` the microseconds, at least 1."""
    plain = noise(())
    parts: dict[Part, float] = {tuple(units): math.inf}
    if len(units) <= _MOST_ALONE:
        alone = counted("measuring damage", units, len(units))
        parts = {(unit,): max(0.0, noise((unit,)) - plain) for unit in alone}
    for _ in counted("measuring damage", range(_MOST_HALVINGS), _MOST_HALVINGS):
        worst = max((part for part in parts if len(part) > 1), key=lambda part: parts[part], default=None)
        if worst is None:
            break
        del parts[worst]
        for half in (worst[: len(worst) // 2], worst[len(worst) // 2 :]):
            parts[half] = max(0.0, noise(half) - plain)
    return sorted(parts, key=lambda part: -parts[part] / saved(part))
