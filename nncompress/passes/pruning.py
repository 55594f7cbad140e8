"""Chooses the zeros of a weight by what it computes, and fits the values that stay to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nncompress.model.cuts import MatrixView
from nncompress.model.weights import Weight
from nncompress.numerics import obs
from nncompress.numerics.magnitude import Kept, keep_largest, keep_where, of_every
from nncompress.numerics.second_order import Quadratic
from nncompress.passes.second_order import ENTROPY, OBS, Known
from nncompress.passes.statistics import Inputs


@dataclass(frozen=True)
class Pattern:
    """At most `most` values of every `length` along an axis are not zero."""

    most: int
    length: int

    @classmethod
    def of(cls, text: str) -> Pattern | None:
        """That of "2:4"; None for what is no pattern."""
        parts = text.split(":")
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            return None
        pattern = cls(*map(int, parts))
        return pattern if 0 < pattern.most < pattern.length else None


def kept_in_pattern(weight: Weight, array: np.ndarray, pattern: Pattern) -> str | Kept:
    """The largest magnitudes of every so many inputs; or why there are none."""
    axis = _input_axis(weight)
    if axis is None:
        return "a pattern runs along inputs, and it has none that are numbered along one axis"
    if weight.shape[axis] < 2:
        return "it has one input, and so no pattern"
    magnitude = np.moveaxis(np.abs(array), axis, -1)
    return keep_where(array, np.moveaxis(of_every(magnitude, pattern.most, pattern.length), -1, axis))


def _input_axis(weight: Weight) -> int | None:
    """The axis along which inputs are numbered: of a kernel, its channels; None where there is no such axis."""
    use = weight.main_use
    axes = use.contraction_axes
    if use.op in ("Conv", "ConvTranspose"):
        channels = 1 if use.op == "Conv" else 0
        return channels if use.direct and channels in axes else None
    return axes[0] if len(axes) == 1 else None


def cut_apart(weight: Weight, view: MatrixView, pattern: Pattern) -> str | None:
    """Why the pattern cannot follow from products of inputs: they are taken in blocks (see model/cuts.py), across whose
    ends it would run. None if it can."""
    axis = _input_axis(weight)
    channels = _runs(view, weight).shape[1]
    if axis is None or channels == weight.shape[axis] or channels % pattern.length == 0:
        return None
    return f"its inputs are taken in blocks of {channels}, which are no multiple of {pattern.length}"


def pruned_by_output(
    weight: Weight, array: np.ndarray, plain: Kept, inputs: Inputs, method: str, pattern: Pattern | None,
    threads: int = 1,
) -> Kept:  # fmt: skip
    """As many zeros as `plain` has, or the same pattern, where they move least of what `array` computes; by OBS never
    worse on the samples than `plain` is."""
    view = inputs.view
    exact = view.of(array).astype(np.float64)
    quadratic = Quadratic.of(exact, inputs.gram)
    drop = array.size - plain.nonzeros
    if pattern is not None:
        mask = obs.smallest_of_runs(_runs(view, weight), pattern.most, pattern.length)
    else:
        mask = obs.smallest_of_all(drop) if method == OBS else obs.smallest_of_each_output(drop)
    if method == OBS:
        made = obs.pruned(quadratic, exact, mask, threads=threads)
        best = min((made, view.of(plain.values).astype(np.float64)), key=quadratic.value)
    else:
        scale = obs.by_entropy(quadratic) if method == ENTROPY else obs.by_input(quadratic)
        best = obs.scored(exact, scale, mask)
    values = view.undone(best, array.shape).astype(array.dtype)
    noise = float(np.square(values - array.astype(np.float64)).sum())
    return replace(plain, values=values, nonzeros=int(np.count_nonzero(values)), noise=noise)


def thinned(weight: Weight, array: np.ndarray, share: float, known: Known) -> np.ndarray:
    """The weight with that share of zeros, which move least of what it computes where its inputs are known."""
    plain = keep_largest(array, share)
    if plain.nonzeros < plain.nonzeros_before and isinstance(known.inputs, Inputs):
        return pruned_by_output(weight, array, plain, known.inputs, OBS, None, known.threads).values
    return plain.values


def _runs(view: MatrixView, weight: Weight) -> np.ndarray:
    """Numbers of columns of the matrix [taps, channels]: one row for each tap of a kernel."""
    axis, shape = _input_axis(weight), weight.shape
    assert axis is not None, "it would not have come so far"
    along = np.arange(shape[axis]).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    channels = view.of(np.broadcast_to(along, shape))[0, 0]
    return np.argsort(channels, kind="stable").reshape(len(np.unique(channels)), -1).T
