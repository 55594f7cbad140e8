"""Walks through a model from one weight's data to the next, as it was and as it is now, and sums up products of rows.

Both networks run in one child process, block by block; what was changed in a weight is computed by the next block.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass

from nncompress.calibrate.collector import Advance, Collect, Collector
from nncompress.calibrate.in_child import Child, child_of
from nncompress.calibrate.measure import Kinds
from nncompress.feeds.feeds import Feeds
from nncompress.model.blocks import nodes_behind
from nncompress.model.cuts import Product, product_of
from nncompress.model.inside import inner_values
from nncompress.model.lineage import is_thinned
from nncompress.model.model import INSIDE, Model
from nncompress.model.network import Network
from nncompress.model.states import named_states
from nncompress.model.weights import Weight
from nncompress.numerics.gram import Gram
from nncompress.numerics.rows import Cut
from nncompress.passes.statistics import Inputs
from nncompress.progress import Stage
from nncompress.runtime.session import Part

MOST_INPUTS = 6144  # of one Gram matrix, which takes 0.3 GB; more are taken in blocks


def collected(
    original: Model, model: Model, samples: Feeds, weights: Sequence[Weight], threads: int
) -> Generator[list[tuple[Weight, Inputs | str]], None, None]:
    """See `passes.statistics.Calibration`."""
    with named_states([original, model]):
        route = _Route(original, model, weights)
        if route.excluded:
            yield route.excluded
        if not route.stops:
            return
        with child_of(original, Collector, samples, threads) as child:
            walker = _Walker(route, child)
            for number in range(len(route.stops)):
                yield walker.stop(number)


@dataclass(frozen=True)
class _Stop:
    """A value that weights are multiplied by."""

    name: str
    cuts: tuple[Cut, ...]
    ending: tuple[Weight, ...]  # that are multiplied by nothing which comes later
    again: bool  # what computes it will do so once more afterwards, with other weights


class _Route:
    """At which values to stop, in the order of the graph, and for which weights."""

    def __init__(self, original: Model, model: Model, weights: Sequence[Weight]) -> None:
        self.original, self.now = Network(original), Network(model)
        self.excluded: list[tuple[Weight, Inputs | str]] = []
        self.products: dict[int, tuple[Product, ...]] = {}
        values = self.now.values()
        self.inside = inner_values(model)
        variable = self.now.variable(values)
        known = {id(value) for name, value in values.items() if name in variable}
        known |= {id(inner.value) for inner in self.inside.values()}
        able: list[Weight] = []
        for weight in weights:
            products = _products(weight, model, known)
            if isinstance(products, str):
                self.excluded.append((weight, products))
            else:
                self.products[id(weight.value)] = products
                able.append(weight)
        names = {name for weight in able for name in self.names(weight)}
        order = nodes_behind([values[self.main(name)] for name in names], ())
        numbers = {id(node): number for number, node in enumerate(order)}
        self._places = {
            name: (
                numbers.get(id(values[self.main(name)].producer()), -1),
                self.inside[name].place if name in self.inside else -1, name,
            )
            for name in names
        }  # fmt: skip
        self.stops = [self._stop(name, able) for name in sorted(names, key=self._places.__getitem__)]
        before = self.original.values()
        there = {*before, *inner_values(original)} - {name for name in values if is_thinned(values[name])}
        random = self.now.random([self.main(name) for name in names])
        self.crossed = {n for n in names if n in there and self.main(n) in before and self.main(n) not in random}

    def main(self, name: str) -> str:
        """The value of the main graph with which that is computed: itself, or a result of the If in which it lies."""
        inner = self.inside.get(name)
        return name if inner is None else inner.result

    def names(self, weight: Weight) -> list[str]:
        """Of the values that it is multiplied by."""
        return [str(product.data.value.name) for product in self.products[id(weight.value)]]

    def _stop(self, name: str, weights: Iterable[Weight]) -> _Stop:
        here = [weight for weight in weights if name in self.names(weight)]
        products = [product for weight in here for product in self.products[id(weight.value)]]
        own = [product for product in products if product.data.value.name == name]
        again = name in self.inside or any(product.recurs for product in own)
        ending = (weight for weight in here if max(self.names(weight), key=self._places.__getitem__) == name)
        return _Stop(name, tuple(dict.fromkeys(product.cut for product in own)), tuple(ending), again)


def _products(weight: Weight, model: Model, known: Collection[int]) -> tuple[Product, ...] | str:
    products = []
    for use in weight.uses:
        product = product_of(weight, use, MOST_INPUTS)
        if isinstance(product, str):
            return product
        data = product.data.value
        if id(data) not in known:
            return "what it is multiplied by is the same for all inputs" if data.graph is model.ir.graph else INSIDE
        products.append(product)
    if len({product.view for product in products}) > 1:
        return "nodes that read it multiply along different axes"
    return tuple(products)


class _Walker:
    """Goes along a route, and has the child run and sum up."""

    def __init__(self, route: _Route, child: Child) -> None:
        self._route, self._child = route, child
        kinds: Kinds = child.ask(None)
        route.original.there, route.now.there = dict(kinds), dict(kinds)
        self._grams: dict[tuple[str, Cut], Gram | str] = {}

    def stop(self, number: int) -> list[tuple[Weight, Inputs | str]]:
        """What the weights are multiplied by of which all is known now."""
        route, stop = self._route, self._route.stops[number]
        doing = Stage(f"calibrating block {number + 1} of {len(route.stops)} of", number, len(route.stops))
        later = [route.main(other.name) for other in route.stops[number + 1 :]]
        reason = self._advanced(route.now, "result", stop, later, doing)
        crossed = stop.name in route.crossed and not self._advanced(route.original, "original", stop, later, doing)
        count = len(stop.cuts)
        grams = [reason] * count if reason else self._child.ask(Collect(stop.name, stop.cuts, crossed))
        self._grams |= {(stop.name, cut): gram for cut, gram in zip(stop.cuts, grams, strict=True)}
        found = [(weight, self._inputs(weight)) for weight in stop.ending]
        needed = {name for other in route.stops[number + 1 :] for w in other.ending for name in route.names(w)}
        self._grams = {key: gram for key, gram in self._grams.items() if key[0] in needed}
        return found

    def _advanced(self, network: Network, part: Part, stop: _Stop, later: Sequence[str], doing: Stage) -> str | None:
        """None, or why that value cannot be had."""
        main = self._route.main(stop.name)
        repeated = stop.again and (part == "result" or main != stop.name)
        again = network.values()[main].producer() if repeated else None
        plan = network.plan([main], later, again)
        if plan.obstacle is not None:
            return f"calibration cannot stop there: {plan.obstacle}"
        seen = [] if again is None else [stop.name]
        if not (plan.kept or seen):
            return None
        block = self._child.written(network, part, plan, seen)
        kinds = self._child.answer(Advance(block, plan.live | {stop.name}, doing))
        if isinstance(kinds, str):
            return f"calibration cannot stop there: {kinds}"
        network.follow(plan, kinds)
        return None

    def _inputs(self, weight: Weight) -> Inputs | str:
        """Of all places together where the weight is read."""
        total: Gram | None = None
        products = self._route.products[id(weight.value)]
        for product in products:
            gram = self._grams[str(product.data.value.name), product.cut]
            if isinstance(gram, str):
                return gram
            total = gram if total is None else total.with_(gram)
        groups, _, inputs = products[0].view.shape
        if total is None or total.own.shape != (groups, inputs, inputs):
            return "what it is multiplied by has other channels than the weight"
        return Inputs(products[0].view, total)
