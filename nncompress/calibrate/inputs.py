"""Mean squares of what weights are multiplied by: which values have to be looked at, and what that says of each weight.

E[x_j^2]   for each input j of a weight, over all rows of all feeds and over all nodes that read it
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from nncompress.calibrate.along_axes import AlongAxes
from nncompress.calibrate.ranges import summed_up
from nncompress.feeds.feeds import Feeds
from nncompress.model.model import INSIDE, Model
from nncompress.model.multiplied import Data, data_of, spread
from nncompress.model.network import Network
from nncompress.model.weights import Use, Weight
from nncompress.numerics.moments import Moments

_EMPTY = "what it is multiplied by is empty for every feed"


def measured_squares(model: Model, samples: Feeds, weights: Sequence[Weight], threads: int) -> list[np.ndarray | str]:
    """See `passes.statistics.Calibration`."""
    network = Network(model)
    seen = set(network.values())
    places = [_places(weight, model, seen) for weight in weights]
    axes: dict[str, set[int]] = {}
    for known in places:
        for data in known.values() if not isinstance(known, str) else ():
            axes.setdefault(str(data.value.name), set()).add(data.axis)
    sums = summed_up(network, list(axes), samples, lambda name: AlongAxes(axes[name], Moments), threads) if axes else {}
    return [
        known if isinstance(known, str) else _mean_squares(weight, known, sums)
        for weight, known in zip(weights, places, strict=True)
    ]


def _places(weight: Weight, model: Model, seen: Collection[str | None]) -> dict[Use, Data] | str:
    """By use, what the weight is multiplied by there; or why that cannot be looked at."""
    places: dict[Use, Data] = {}
    for use in weight.uses:
        if use.node.graph is not model.ir.graph:
            return INSIDE
        data = data_of(use)
        if data is None or data.value.name not in seen:
            return f"{use.op} multiplies it by nothing that can be looked at"
        places[use] = data
    return places


def _mean_squares(
    weight: Weight, places: Mapping[Use, Data], sums: Mapping[str, AlongAxes[Moments] | str]
) -> np.ndarray | str:
    total, count = np.zeros((1,) * len(weight.shape)), 0
    for use, data in places.items():
        known = sums[str(data.value.name)]
        if isinstance(known, str):
            return f"what it is multiplied by cannot be looked at: {known}"
        moments = known.sums[data.axis]
        squares = None if moments is None else spread(moments.squares, weight, use)
        if moments is None or squares is None:
            return _EMPTY if moments is None else "what it is multiplied by has other channels than the weight"
        total, count = total + squares, count + moments.count
    return total / count if np.isfinite(total).all() else "what it is multiplied by is not finite"
