"""What every pass is: a frozen dataclass whose fields are its options, and one method that changes the graph.

A pass changes weights (new values, or an encoding attached) or the float graph, and returns one Outcome for everything
that it considered. It does no I/O, prints nothing, and never runs a model: what it wants to know of activations it
declares as `needs`, or as `uses` where it can do without, and asks of the context's calibration.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

import numpy as np

from nncompress.errors import UsageError
from nncompress.model.lineage import stored_already
from nncompress.model.model import OLDEST_OPSET, Model
from nncompress.model.weights import Weight, find_weights
from nncompress.passes.context import Context
from nncompress.passes.option_types import Names
from nncompress.passes.options import read_options
from nncompress.passes.select import check_globs, check_op_types, matches
from nncompress.passes.statistics import Needs
from nncompress.results.record import Outcome, Skipped

_NOT_INCLUDED, _EXCLUDED = "not included", "excluded"
NOT_MEANT = (_NOT_INCLUDED, _EXCLUDED)
"""Reasons against a weight that a pass has no business with."""
LARGEST_VALUE, SMALLEST_VALUE = float(np.finfo(np.float32).max), 1e-35  # that float32 scales and factors can express


class Stage(IntEnum):
    """What a pass is about. Passes run in ascending order: a later one relies on what the earlier ones left."""

    GRAPH = 1  # nodes: factors, channels taken out
    SCALES = 2  # what moves magnitude from one weight or activation to another
    VALUES = 3  # other values for weights
    ROUNDING = 4  # activations as integers: how weights are encoded depends on what they are multiplied with
    ENCODINGS = 5  # weights as integers, codebooks, halves
    CORRECTIONS = 6  # what makes up for the errors of all before: biases, scales


@dataclass(frozen=True)
class Pass(ABC):
    """Base of all passes."""

    name: ClassVar[str]
    stage: ClassVar[Stage]
    useless_without: ClassVar[str | None] = None
    """the pass that has to come after it, if any"""

    def __post_init__(self) -> None:
        """Takes options as they are typed and written. Raises UsageError that lists everything wrong with them."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        read, wrong = read_options(type(self), given)
        for name, value in read.items():
            object.__setattr__(self, name, value)
        problem = None if wrong else self.problem()
        if wrong or problem:
            raise UsageError(f"{self.name}: {'; '.join(wrong or [str(problem)])}")

    @abstractmethod
    def apply(self, model: Model, context: Context) -> list[Outcome]:
        """Changes `model` in place and says what was done to each thing considered."""

    @property
    def needs(self) -> Needs:
        """Statistics of activations that it asks for; a run without calibration data is refused if there are any."""
        return Needs()

    @property
    def uses(self) -> Needs:
        """Statistics of activations that it asks for where there are calibration data, and can do without."""
        return Needs()

    def problem(self) -> str | None:
        """What is wrong with the options; None if they can be used."""
        return None

    def spares(self, weight: Weight) -> str | None:
        """Why it will make no integers of this weight though it does of others; None if it may."""
        return None

    def needed_opset(self, form: str) -> tuple[int, str]:
        """The opset from which on it can do all that it is asked for, with weights in `form`; and why."""
        return OLDEST_OPSET, f"nothing can be stored smaller before opset {OLDEST_OPSET}"


@dataclass(frozen=True)
class WeightPass(Pass):
    """Base of the passes that decide weight by weight: which weights they may touch."""

    include: tuple[str, ...] = ()
    """only weights whose name, or a reading node's name, matches one of these globs"""
    exclude: tuple[str, ...] = ()
    """not the weights whose name, or a reading node's name, matches one of these globs"""
    op_types: Names = field(default=(), metadata={"metavar": "OP,OP"})
    """only weights that operators of these types read, such as Conv,MatMul"""
    min_size: int = 64
    """leave weights with fewer elements alone"""

    takes_elementwise: ClassVar[bool] = False
    """True for a pass that keeps values so exact that constants may have them which are added or multiplied as such"""

    def considered(self, model: Model) -> list[Weight]:
        """What it may touch at all."""
        return find_weights(model)

    def select(self, model: Model) -> tuple[list[Weight], list[Outcome]]:
        """The weights to work on, and those left alone with the reason. Raises UsageError for a glob without match."""
        return self.selected(model, self.considered(model))

    def selected(self, model: Model, weights: list[Weight]) -> tuple[list[Weight], list[Outcome]]:
        """The same of these, which are all that are considered."""
        check_globs((*self.include, *self.exclude), weights, stored_already(model))
        check_op_types(self.op_types, weights)
        chosen: list[Weight] = []
        skipped: list[Outcome] = []
        for weight in weights:
            reason = self._reason_against(weight)
            if reason is None:
                chosen.append(weight)
            else:
                skipped.append(Skipped(weight.name, self.name, reason))
        return chosen, skipped

    def _reason_against(self, weight: Weight) -> str | None:
        if self.include and not matches(weight, self.include):
            return _NOT_INCLUDED
        if matches(weight, self.exclude):
            return _EXCLUDED
        if self.op_types and not set(self.op_types) & set(weight.ops):
            return f"read by {', '.join(weight.ops)} (--op-types)"
        if weight.barrier:
            return weight.barrier
        if weight.is_elementwise and not self.takes_elementwise:
            return f"{', '.join(weight.ops)} uses its values one by one: no weight that is summed over"
        if weight.size < max(1, self.min_size):
            return f"fewer than {self.min_size} elements (--min-size)"
        return None


def unfit(array: np.ndarray) -> str | None:
    """Why a weight with these values (not none) stays exactly as it is; None if it can be compressed."""
    low, high = float(array.min()), float(array.max())
    largest = max(-low, high)
    if not np.isfinite([low, high]).all():
        return "holds infinite values or NaN, which stay exact"
    if largest > LARGEST_VALUE:
        return "holds values beyond the range of float32"
    if 0 < largest < SMALLEST_VALUE:
        return f"all its values are below {SMALLEST_VALUE:g}, where float32 has no digits left"
    return None
