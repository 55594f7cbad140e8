"""A network that is computed block by block: which nodes come next, and what has to be kept for those after them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from nncompress.model.blocks import (
    constant_nodes,
    draws_random_numbers,
    names_read,
    nodes_behind,
    obstacle_to_carry,
    reads_of,
)
from nncompress.model.kind import Kind
from nncompress.model.model import Model


@dataclass(frozen=True)
class Plan:
    """The next block."""

    nodes: list[ir.Node]  # in topological order; those that only constants reach may come again
    inputs: dict[str, Kind]  # of what is there
    kept: list[str]  # results that are there afterwards
    live: frozenset[str]  # what somebody wants afterwards of all that is there
    obstacle: str | None  # why it cannot be cut here


@dataclass
class Network:
    """The main graph of a model, and the values that are there: those that were computed and are still wanted."""

    model: Model
    there: dict[str, Kind] = field(default_factory=dict)

    def plan(self, wanted: Sequence[str], later: Collection[str], again: ir.Node | None = None) -> Plan:
        """How to compute `wanted`, where `later` comes after it. `again`: a node that will be computed once more."""
        values = self.values()
        nodes = nodes_behind([values[name] for name in wanted], self.there)
        rest = nodes_behind([values[name] for name in (*wanted, *later) if name in values], self.there)
        constant = constant_nodes(rest)
        done = {id(node) for node in nodes if id(node) not in constant and node is not again}
        read = {*names_read(node for node in rest if id(node) not in done), *later}
        results = [value for node in nodes if id(node) in done for value in node.outputs if value.name]
        kept = [value for value in results if value.name in read or value.name in wanted]
        names = [str(value.name) for value in kept]
        obstacle = next((reason for value in kept if (reason := obstacle_to_carry(value)) is not None), None)
        inputs = {name: self.there[name] for name in names_read(nodes) if name in self.there}
        return Plan(nodes, inputs, names, frozenset({*self.there, *names} & read), obstacle)

    def apart(self, name: str, kinds: Mapping[str, Kind]) -> Plan:
        """How to compute one value from `kinds`, which another network has, and from nothing else of this one."""
        there = kinds.keys() - {name}
        nodes = nodes_behind([self.values()[name]], there)
        inputs = {read: kinds[read] for read in names_read(nodes) if read in there}
        return Plan(nodes, inputs, [], frozenset(), None)

    def follow(self, plan: Plan, kinds: dict[str, Kind]) -> None:
        """The block was computed; `kinds` says what it kept is like."""
        known = {**self.there, **kinds}
        self.there = {name: known[name] for name in known if name in plan.live}

    def values(self) -> dict[str, ir.Value]:
        """The inputs and results of the main graph that are no constants, by name."""
        graph = self.model.ir.graph
        return {
            value.name: value
            for value in (*graph.inputs, *(result for node in graph for result in node.outputs))
            if value.name and not value.is_initializer()
        }

    def outputs(self) -> list[str]:
        """The outputs of the graph that are computed from its inputs and can be kept."""
        results = [value for value in self.model.ir.graph.outputs if value.producer() is not None]
        variable = self.variable(str(value.name) for value in results)
        kept = [str(value.name) for value in results if value.name in variable and obstacle_to_carry(value) is None]
        return list(dict.fromkeys(kept))

    def variable(self, names: Iterable[str]) -> set[str]:
        """Those of the values `names` that something else than constants reaches."""
        values = self.values()
        order = nodes_behind([values[name] for name in names], ())
        constant = constant_nodes(order)
        results = {value.name for node in order if id(node) not in constant for value in node.outputs if value.name}
        return {*results, *(value.name for value in self.model.ir.graph.inputs if value.name in values and value.name)}

    def random(self, names: Iterable[str]) -> set[str]:
        """Those of the values `names` to which random numbers lead, or may lead by way of a function."""
        wanted, values, functions = list(names), self.values(), self.model.ir.functions
        functions_draw = any(draws_random_numbers(node) for function in functions.values() for node in function)
        drawn: set[int] = set()
        for node in nodes_behind([values[name] for name in wanted], ()):
            producers = [value.producer() for value in reads_of(node)]
            draws = draws_random_numbers(node) or (functions_draw and node.op_identifier() in functions)
            if draws or any(id(producer) in drawn for producer in producers):
                drawn.add(id(node))
        return {name for name in wanted if id(values[name].producer()) in drawn}
