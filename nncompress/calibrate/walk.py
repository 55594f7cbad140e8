"""Walks through a model node by node, as it was and as it is now, and says how each result moved.

Both networks run in one child process, which keeps what later nodes read; what is no longer needed goes. A node whose
result was measured is computed again by the next block, for it may have been changed since.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from nncompress.calibrate.cache import Cache
from nncompress.calibrate.channels import measured_channels
from nncompress.calibrate.grams import collected
from nncompress.calibrate.in_child import Child, child_of
from nncompress.calibrate.inputs import measured_squares
from nncompress.calibrate.measure import Advance, Compare, CompareOutputs, Kinds, TwoNetworks
from nncompress.calibrate.ranges import measured_ranges
from nncompress.feeds.feeds import Feeds
from nncompress.model.blocks import nodes_behind
from nncompress.model.kind import Kind
from nncompress.model.lineage import is_thinned
from nncompress.model.linear import Linear
from nncompress.model.model import INSIDE, Model
from nncompress.model.multiplied import Data
from nncompress.model.network import Network
from nncompress.model.weights import Weight
from nncompress.numerics.estimators import Estimator
from nncompress.numerics.migration import Channels
from nncompress.numerics.moments import Deviation
from nncompress.passes.statistics import ActivationRange, Inputs, Needs
from nncompress.progress import Stage


@dataclass(frozen=True)
class CalibrationRun:
    """Feeds for a model; `original` is what every later state of it is compared with."""

    original: Model
    samples: Feeds
    threads: int = 1
    cache: Cache = field(default_factory=Cache)

    @property
    def made_up(self) -> bool:
        """See `passes.statistics.Calibration`."""
        return self.samples.synthetic

    def walk(
        self, model: Model, linears: Sequence[Linear], needs: Needs
    ) -> Generator[tuple[Linear, Deviation | str], None, None]:
        """See `passes.statistics.Calibration`."""
        assert needs.means, "nothing else is asked for yet"
        route = _Route(self.original, model, linears)
        yield from route.excluded
        if not route.targets:
            return
        with self._two_networks() as child:
            walker = _Walker(route, child)
            for number, linear in enumerate(route.targets):
                yield linear, walker.measure(number)

    def grams(
        self, model: Model, weights: Sequence[Weight]
    ) -> Generator[list[tuple[Weight, Inputs | str]], None, None]:
        """See `passes.statistics.Calibration`."""
        if self.made_up:
            yield [(weight, "the samples are made up") for weight in weights]
        else:
            yield from collected(self.original, model, self.samples, weights, self.threads)

    def inputs(self, model: Model, weights: Sequence[Weight]) -> list[np.ndarray | str]:
        """See `passes.statistics.Calibration`."""
        if self.made_up:
            return ["the samples are made up"] * len(weights)
        return measured_squares(model, self.samples, weights, self.threads)

    def output_errors(self, models: Iterable[Model]) -> list[float]:
        """See `passes.statistics.Calibration`."""
        original = Network(self.original)
        outputs = original.outputs()
        if not outputs:
            return [0.0 for _ in models]
        with self._two_networks() as child:
            original.there = dict(_kinds(child))
            inputs, plan = dict(original.there), original.plan(outputs, outputs)
            kinds = child.answer(Advance(child.written(original, "original", plan), Stage("running")))
            if isinstance(kinds, str):  # they cannot be kept, and so not be compared
                return [0.0 for _ in models]
            original.follow(plan, kinds)
            errors = []
            for model in models:
                network = Network(model, dict(inputs))
                block = child.written(network, "result", replace(network.plan(outputs, ()), kept=[]), outputs)
                errors.append(float(child.answer(CompareOutputs(block, Stage("running what became of")))))
            return errors

    def ranges(self, model: Model, names: Sequence[str], estimator: Estimator) -> Mapping[str, ActivationRange | str]:
        """See `passes.statistics.Calibration`."""
        return measured_ranges(model, self.samples, names, estimator, self.cache, self.threads)

    def channels(self, model: Model, data: Sequence[Data]) -> list[Channels | str]:
        """See `passes.statistics.Calibration`."""
        return measured_channels(model, self.samples, data, self.threads)

    def _two_networks(self) -> AbstractContextManager[Child]:
        return child_of(self.original, TwoNetworks, self.samples, self.threads)


def _kinds(child: Child) -> Kinds:
    """What the inputs are like."""
    return cast(Kinds, child.ask(None))


class _Route:
    """What is measured, in the order of the graph, and what is not, with the reason."""

    def __init__(self, original: Model, model: Model, linears: Sequence[Linear]) -> None:
        self.original, self.now = Network(original), Network(model)
        self.excluded: list[tuple[Linear, str]] = []
        before, after = self.original.values(), self.now.values()
        comparable = []
        for linear in linears:
            name = linear.result.name or ""
            if linear.node.graph is not model.ir.graph:
                self.excluded.append((linear, INSIDE))
            elif name not in before or name not in after:
                self.excluded.append((linear, "its result is not one of the original's"))
            elif is_thinned(linear.result):
                self.excluded.append((linear, "it has fewer channels than the original's"))
            elif linear.channel_axis is None:
                self.excluded.append((linear, "its result has no channels that are known"))
            else:
                comparable.append(linear)
        names = [str(linear.result.name) for linear in comparable]
        variable = self.now.variable(names) & self.original.variable(names)
        constant = [linear for linear in comparable if linear.result.name not in variable]
        self.excluded += [(linear, "its result is the same for all inputs") for linear in constant]
        comparable = [linear for linear in comparable if linear.result.name in variable]
        names = [str(linear.result.name) for linear in comparable]
        random = self.now.random(names) | self.original.random(names)
        noisy = [linear for linear in comparable if linear.result.name in random]
        self.excluded += [(linear, "it comes after random numbers") for linear in noisy]
        order = {id(node): place for place, node in enumerate(nodes_behind([after[name] for name in names], ()))}
        kept = (linear for linear in comparable if linear.result.name not in random)
        self.targets = sorted(kept, key=lambda linear: order[id(linear.node)])
        unknown = Kind(None, None)
        shared = dict.fromkeys(self.original.variable(before), unknown)
        self.results = [str(linear.result.name) for linear in self.targets]
        self.reads = [list(self.now.apart(name, shared).inputs) for name in self.results]
        self.thinned = {name for name, value in after.items() if is_thinned(value)}


class _Walker:
    """Goes along a route, block by block, and has the child run them."""

    def __init__(self, route: _Route, child: Child) -> None:
        self._route, self._child = route, child
        kinds = _kinds(child)
        route.original.there, route.now.there = dict(kinds), dict(kinds)
        self._wanted = [[name, *reads] for name, reads in zip(route.results, route.reads, strict=True)]

    def measure(self, number: int) -> Deviation | str:
        """How the result of that target moved; or why it cannot be known."""
        linear, original, now = self._route.targets[number], self._route.original, self._route.now
        assert linear.channel_axis is not None, "others are no targets"
        wanted, later = self._wanted[number], self._wanted[number + 1 :]
        first = original.plan(wanted, {name for names in later for name in names})
        second = now.plan(wanted[:1], {names[0] for names in later}, again=linear.node)
        obstacle = first.obstacle or second.obstacle
        if obstacle is not None:
            return f"calibration cannot stop there: {obstacle}"
        child, there = self._child, dict(original.there)
        count = len(self._route.targets)
        doing = Stage(f"calibrating block {number + 1} of {count} of", number, count)
        if first.kept:
            kinds = child.answer(Advance(child.written(original, "original", first), doing))
            if isinstance(kinds, str):
                return f"calibration cannot stop there: {kinds}"
            there |= kinds
        alone = None
        if not self._route.thinned.intersection(wanted):
            plan = now.apart(wanted[0], {name: there[name] for name in wanted})
            alone = child.written(now, "result", plan, wanted[:1])
        request = Compare(
            child.written(now, "result", second, wanted[:1]), alone,
            wanted[0], linear.channel_axis, first.live, second.live, doing,
        )  # fmt: skip
        answer = child.answer(request)
        original.follow(first, there)
        if isinstance(answer, str):
            return f"calibration cannot stop there: {answer}"
        kinds, deviation = answer
        now.follow(second, kinds)
        return cast("Deviation | str", deviation)
