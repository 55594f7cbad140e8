"""Runs a model feed by feed and sums up what its activations are like: never more than one feed of them is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from nncompress.calibrate.in_child import Child, child_of
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds
from nncompress.model.blocks import Kind, obstacle_to_carry
from nncompress.model.model import Model
from nncompress.model.network import Network
from nncompress.numerics.estimators import Estimator, kept_range
from nncompress.numerics.spread import Spread
from nncompress.passes.statistics import ActivationRange
from nncompress.progress import Announce, Stage
from nncompress.runtime.blocks import Block
from nncompress.runtime.session import open_session

INSIDE = "it lies in a graph inside a node (If, Loop, Scan) or in a function"
CONSTANT = "it is the same for all inputs"


@dataclass(frozen=True)
class SumUp:
    """Run a block on all feeds and sum up its results and some of the inputs. Pickles."""

    block: Block
    inputs: tuple[str, ...]  # of the model, that are summed up as well
    doing: Stage  # for messages


class Runner:
    """Lives in the child process."""

    def __init__(self, feeds: Feeds, threads: int, announce: Announce) -> None:
        self._feeds, self._threads, self._announce = feeds, threads, announce

    def __call__(self, request: SumUp) -> dict[str, Spread | str]:
        """What each value is like; or why that is not known."""
        block, doing = request.block, request.doing
        self._announce(block.part, doing.doing, doing.done, doing.total)
        session = open_session(block.path, block.part, threads=self._threads)
        spreads: dict[str, Spread | str] = {name: Spread() for name in (*block.seen, *request.inputs)}
        for number, feed in enumerate(self._feeds):
            self._announce(block.part, doing.doing, doing.done + number, doing.total)
            results = dict(zip(session.outputs, session.run({n: feed[n] for n in block.inputs}), strict=True))
            for name, spread in spreads.items():
                if isinstance(spread, Spread):
                    spreads[name] = _with(spread, results[name] if name in results else feed[name])
        return spreads


def _with(spread: Spread, value: object) -> Spread | str:
    if not isinstance(value, np.ndarray) or value.dtype not in (np.float16, np.float32, np.float64):
        return f"it is {value.dtype}, no float" if isinstance(value, np.ndarray) else "it is no tensor"
    spread.add(value)
    return spread


def measured_ranges(
    model: Model, samples: Feeds, names: Sequence[str], estimator: Estimator, threads: int = 1
) -> dict[str, ActivationRange | str]:
    """See `passes.statistics.Calibration`."""
    network = Network(model)
    known: dict[str, Spread | str] = dict(_without_ranges(network, names))
    wanted = [name for name in dict.fromkeys(names) if name not in known]
    if wanted:
        with child_of(model, Runner, samples, threads) as child:
            known |= _summed_up(network, wanted, samples, child)
    return {name: _range(known[name], estimator) for name in names}


def _without_ranges(network: Network, names: Sequence[str]) -> dict[str, str]:
    """Of those values that are not looked at the reason why."""
    values, known = network.values(), network.model.names()
    reasons: dict[str, str] = {}
    for name in names:
        if name in network.model.ir.graph.initializers:
            reasons[name] = CONSTANT
        elif name not in values:
            reasons[name] = INSIDE if name in known else "there is no value of that name"
        elif (obstacle := obstacle_to_carry(values[name])) is not None:
            reasons[name] = obstacle
    variable = network.variable(name for name in names if name not in reasons)
    return reasons | {name: CONSTANT for name in names if name not in reasons and name not in variable}


def _summed_up(network: Network, wanted: Sequence[str], samples: Feeds, child: Child) -> dict[str, Spread | str]:
    inputs = [name for name in wanted if network.values()[name].producer() is None]
    seen = [name for name in wanted if name not in inputs]
    network.there = _kinds(network.model)
    plan = replace(network.plan(seen, ()), kept=[])
    block = child.written(network, "original", plan, seen)
    request = SumUp(block, tuple(inputs), Stage("calibrating activations of", 0, len(samples)))
    return cast("dict[str, Spread | str]", child.answer(request))


def _kinds(model: Model) -> dict[str, Kind]:
    """What is fed."""
    return {
        spec.name: Kind(spec.dtype, None if spec.shape is None else len(spec.shape)) for spec in input_specs(model.ir)
    }


def _range(spread: Spread | str, estimator: Estimator) -> ActivationRange | str:
    if isinstance(spread, str):
        return spread
    if not spread.count:
        return "none of its elements is a finite number" if spread.not_finite else "it is empty for every feed"
    low, high = kept_range(spread, estimator)
    return ActivationRange(low, high, spread.least, spread.greatest, spread.count, spread.not_finite, len(spread.lows))
