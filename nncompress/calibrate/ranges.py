"""What the activations of a model are like on all samples, summed up by a child process, and the ranges that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from nncompress.calibrate.cache import Cache
from nncompress.calibrate.in_child import child_of
from nncompress.calibrate.spreads import Sum, SummingUp, SumUp
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds
from nncompress.model.blocks import nodes_behind, obstacle_to_carry
from nncompress.model.kind import Kind
from nncompress.model.model import INSIDE, Model
from nncompress.model.network import Network
from nncompress.model.shapes import value_bytes
from nncompress.numerics.estimators import Estimator, kept_range
from nncompress.numerics.spread import Spread
from nncompress.passes.statistics import ActivationRange
from nncompress.progress import Stage

S = TypeVar("S", bound=Sum)
BUDGET_BYTES = 256 << 20  # of the activations that are looked at in one run of a feed
CONSTANT = "it is the same for all inputs"


def measured_ranges(
    model: Model, samples: Feeds, names: Sequence[str], estimator: Estimator, cache: Cache, threads: int = 1
) -> dict[str, ActivationRange | str]:
    """See `passes.statistics.Calibration`."""
    network = Network(model)
    reasons = excluded(network, names)
    wanted = [name for name in dict.fromkeys(names) if name not in reasons]
    spreads = cache.spreads(
        model, samples, wanted, lambda lacking: summed_up(network, lacking, samples, lambda name: Spread(), threads)
    )
    return {name: reasons[name] if name in reasons else _range(spreads[name], estimator) for name in names}


def excluded(network: Network, names: Sequence[str]) -> dict[str, str]:
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


def summed_up(
    network: Network, names: Sequence[str], samples: Feeds, begin: Callable[[str], S], threads: int
) -> dict[str, S | str]:
    """Each value added to what `begin` makes. Runs the samples once for each group of values, as far as that group
    needs the model."""
    network.there = _fed(network.model)
    inputs = [name for name in names if name in network.there]
    groups = list(_groups(network, [name for name in names if name not in network.there], samples)) or [[]]
    sums: dict[str, S | str] = {}
    with child_of(network.model, SummingUp, samples, threads) as child:
        for number, group in enumerate(groups):
            doing = Stage("calibrating activations of", number * len(samples), len(groups) * len(samples))
            plan = replace(network.plan(group, ()), kept=[])
            begun = {name: begin(name) for name in (*group, *(inputs if number == 0 else []))}
            sums |= child.answer(SumUp(child.written(network, "original", plan, group), begun, doing))
    return sums


def _groups(network: Network, names: Sequence[str], samples: Feeds) -> Iterator[list[str]]:
    """The values in the order of the graph, cut where one feed of a group would be larger than the budget."""
    sizes = _sizes_bytes(network, names, samples)
    group: list[str] = []
    left = BUDGET_BYTES
    for name in _in_order(network, names):
        if group and sizes[name] > left:
            yield group
            group, left = [], BUDGET_BYTES
        group.append(name)
        left -= sizes[name]
    if group:
        yield group


def _in_order(network: Network, names: Sequence[str]) -> list[str]:
    values = network.values()
    order = {id(node): place for place, node in enumerate(nodes_behind([values[name] for name in names], ()))}
    return sorted(names, key=lambda name: order[id(values[name].producer())])


def _sizes_bytes(network: Network, names: Sequence[str], samples: Feeds) -> Mapping[str, int]:
    """Of the values for the largest feed; one that is not known counts as the largest of those that are."""
    largest: dict[str, list[int]] = {}
    for feed in samples:
        for name, array in feed.items():
            sizes = largest.setdefault(name, list(array.shape))
            largest[name] = list(map(max, sizes, array.shape)) if len(sizes) == array.ndim else sizes
    known = value_bytes(network.model, largest)
    return {name: known.get(name, max(known.values(), default=BUDGET_BYTES)) for name in names}


def _fed(model: Model) -> dict[str, Kind]:
    """The inputs, and what they are like."""
    specs = input_specs(model.ir)
    return {spec.name: Kind(spec.dtype, None if spec.shape is None else len(spec.shape)) for spec in specs}


def _range(spread: Spread | str, estimator: Estimator) -> ActivationRange | str:
    if isinstance(spread, str):
        return spread
    if not spread.count:
        return "none of its elements is a finite number" if spread.not_finite else "it is empty for every feed"
    low, high = kept_range(spread, estimator)
    return ActivationRange(low, high, spread.least, spread.greatest, spread.count, spread.not_finite, len(spread.lows))
