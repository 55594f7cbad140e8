"""Which statistics of activations a pass may ask for, and of whom: it never learns how a model is run.

A statistic that a pass comes to need is a field of `Needs`, an accumulator in numerics, and what a method of
`Calibration` hands out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nncompress.model.cuts import MatrixView
from nncompress.model.linear import Linear
from nncompress.model.model import Model
from nncompress.model.multiplied import Data
from nncompress.model.weights import Weight
from nncompress.numerics.estimators import Estimator
from nncompress.numerics.gram import Gram
from nncompress.numerics.migration import Channels
from nncompress.numerics.moments import Deviation

BY_OUTPUT = "by output error"
"""What an outcome says of a weight of which statistics of its inputs decided something."""


@dataclass(frozen=True)
class Needs:
    """What a pass declares, so that a run without calibration data is refused before any work."""

    means: bool = False
    """means and variances of results, in the network as it was and as it is now"""
    ranges: bool = False
    """to what ranges activations are to be rounded"""
    inputs: bool = False
    """mean squares of what weights are multiplied by"""
    channels: bool = False
    """ranges and mean squares of the channels of activations"""
    grams: bool = False
    """products of the inputs of weights, in the network as it was and as it is now"""
    least_feeds: int = 1
    """fewer are refused"""

    def __bool__(self) -> bool:
        return self.means or self.ranges or self.inputs or self.channels or self.grams


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a weight is multiplied by: it as a matrix, and the products of the rows that meet that."""

    view: MatrixView
    gram: Gram


@dataclass(frozen=True)
class ActivationRange:
    """What a value of the graph was like on all samples, and the range to which it is to be rounded, 0 included.

    Both ends are 0 where nothing but zeros was seen.
    """

    low: float  # kept
    high: float
    least: float  # seen
    greatest: float
    count: int  # finite elements seen
    not_finite: int  # others: NaN and infinite ones
    feeds: int  # in which there were finite elements


class Calibration(Protocol):
    """Sample inputs, run through the model as it was and as it is now."""

    @property
    def made_up(self) -> bool:
        """True where nobody gave the samples: how far real inputs reach is not known."""
        ...

    def walk(
        self, model: Model, linears: Sequence[Linear], needs: Needs
    ) -> Generator[tuple[Linear, Deviation | str], None, None]:
        """Each of `linears` in the order of the graph, with what is known of it or the reason why nothing is.

        What was changed in `model` before the next one is asked for is what that one is computed with.
        """

    def grams(
        self, model: Model, weights: Sequence[Weight]
    ) -> Generator[list[tuple[Weight, Inputs | str]], None, None]:
        """The `weights` in the order of the graph, those together that are multiplied by the same; each with what that
        is, or with the reason why nothing is known of it. What was changed in `model` before the next ones are asked
        for is what those are computed with."""

    def inputs(self, model: Model, weights: Sequence[Weight]) -> list[np.ndarray | str]:
        """For each of `weights` the mean squares of what it is multiplied by in `model`, broadcasting against it; or
        the reason why they are not known."""

    def output_errors(self, models: Iterable[Model]) -> list[float]:
        """Of each state of the model |difference| / |original|, of the output where that is largest."""

    def ranges(self, model: Model, names: Sequence[str], estimator: Estimator) -> Mapping[str, ActivationRange | str]:
        """Of each of these values of the main graph of `model` the range to which it is to be rounded, or why there is
        none. The samples are run through `model` as it is."""

    def channels(self, model: Model, data: Sequence[Data]) -> list[Channels | str]:
        """For each of these values of the main graph of `model` what its channels are like; or the reason why that is
        not known."""
