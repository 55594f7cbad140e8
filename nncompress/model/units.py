"""Units of arithmetic: weights that one node multiplies by together, and which kernels of a runtime belong to them.

A runtime fuses, splits and reorders nodes. What it runs is called by the results of the nodes that it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from nncompress.model.model import Model
from nncompress.model.weights import find_weights

_MADE = re.compile(r"(_token_\d+|_nchwc|/duplicated|/[A-Za-z]*Fusion.*)$")
_PREFIX = "fused "
_FUSED_WITH = 4  # nodes behind one, of which a runtime may make one kernel
_STEPS = 12  # nodes that a form puts between two values of the original


@dataclass(frozen=True)
class Unit:
    """Weights whose readers are the same nodes, or overlap."""

    weights: tuple[str, ...]  # their names in the file
    results: frozenset[str]  # of the readers, and of what a runtime may compute together with them


def find_units(model: Model) -> list[Unit]:
    """Of all weights that are summed over, in the order of the graph."""
    weights = [weight for weight in find_weights(model) if not weight.is_elementwise]
    group: dict[int, int] = {}  # id of a node: number of the unit
    numbers: list[int] = []
    for number, weight in enumerate(weights):
        met = {group[id(use.node)] for use in weight.uses if id(use.node) in group}
        kept = min(met, default=number)
        for key in [key for key, other in group.items() if other in met]:
            group[key] = kept
        numbers = [kept if other in met else other for other in numbers]
        numbers.append(kept)
        group.update((id(use.node), kept) for use in weight.uses)
    units = []
    for number in dict.fromkeys(numbers):
        own = [weight for weight, other in zip(weights, numbers, strict=True) if other == number]
        nodes = {id(use.node): use.node for weight in own for use in weight.uses}
        names = frozenset(name for node in nodes.values() for name in _results(node))
        units.append(Unit(tuple(weight.given_name for weight in own), names))
    return units


def microseconds_by_unit(
    kernels: Iterable[tuple[str, float]], units: Iterable[Unit], model: Model
) -> Mapping[Unit, float]:
    """What each unit takes of (name, microseconds), in the order in which they run. `model` is what was run:
    nodes that it has besides those of the original, and what a runtime adds, count with the unit beside them."""
    owners = {name: unit for unit in units for name in unit.results}
    values = {out.name: out for scope in model.scopes() for node in scope for out in node.outputs if out.name}
    taken = dict.fromkeys(units, 0.0)
    last: Unit | None = None
    for name, microseconds in kernels:
        known = _known(name, values)
        unit = _owner(values[known], owners) if known is not None else last
        if unit is not None:
            taken[unit] += microseconds
            last = unit
    return taken


def _results(node: ir.Node) -> Iterator[str]:
    """Names of its results, and of those behind that nothing else reads."""
    for result in node.outputs:
        value: ir.Value | None = result
        for _ in range(_FUSED_WITH):
            if value is None:
                break
            if value.name:
                yield value.name
            uses = tuple(value.uses())
            value = uses[0].node.outputs[0] if len(uses) == 1 and len(uses[0].node.outputs) == 1 else None


def _known(name: str, values: Mapping[str, ir.Value]) -> str | None:
    """The value by which a runtime calls a kernel; None where it has a name of its own."""
    name = name.removeprefix(_PREFIX)
    while name not in values:
        shorter = _MADE.sub("", name)
        if shorter == name:
            return None
        name = shorter
    return name


def _owner(value: ir.Value, owners: Mapping[str, Unit]) -> Unit | None:
    """The unit of which it is a result; of what a form adds, that of the next result, else of the one before."""
    for forward in (True, False):
        current: ir.Value | None = value
        for _ in range(_STEPS):
            if current is None:
                break
            if (name := current.name or "") in owners:
                return owners[name]
            current = _next(current) if forward else _before(current)
    return None


def _next(value: ir.Value) -> ir.Value | None:
    uses = tuple(value.uses())
    return uses[0].node.outputs[0] if len(uses) == 1 else None


def _before(value: ir.Value) -> ir.Value | None:
    node = value.producer()
    return node.inputs[0] if node is not None and node.inputs else None
