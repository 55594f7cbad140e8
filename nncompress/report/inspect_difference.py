"""Renders what differs between two inspected models: tables for people, and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nncompress.errors import printable
from nncompress.report.json_text import dumped
from nncompress.report.layout import Section, plain
from nncompress.report.ledger_table import shape_text
from nncompress.report.tables import Table, make_table
from nncompress.results.inspection import Inspection, PortFacts, WeightFacts
from nncompress.results.units import format_bytes, format_count, format_smaller


@dataclass(frozen=True)
class WeightChange:
    """A weight that only one of the models has, or that differs in type, shape or bytes. Weights match by name."""

    name: str
    change: Literal["added", "removed", "changed"]
    before: WeightFacts | None
    after: WeightFacts | None


def difference_text(first: Inspection, second: Inspection) -> str:
    """`difference_sections` as plain lines."""
    return plain(difference_sections(first, second))


def difference_sections(first: Inspection, second: Inspection) -> list[Section]:
    """The figures of both files, and everything that only one of them has."""
    tables = [_figures_table(first, second), _ports_table(first, second), _ops_table(first, second)]
    tables.append(_weights_table(weight_changes(first, second)))
    alike = not any(table.rows for table in tables[1:])
    same = "The files are identical." if _same(first, second) else "Interface, operators and weights are alike."
    return [[printable(f"{first.path} -> {second.path}")], *tables, [same] if alike else []]


def difference_json(first: Inspection, second: Inspection) -> str:
    """Indented JSON in plain ASCII: figures as [first, second], and what was added, removed or changed."""
    names = ["path", *_FIGURES, "external_files", "producer", "quantized"]
    tree = {
        "schema_version": first.schema_version,
        "identical": _same(first, second),
        **{name: [getattr(first, name), getattr(second, name)] for name in names},
        "ops": [{"op": op, "before": before, "after": after} for op, before, after in op_changes(first, second)],
        "inputs": _port_changes(first.inputs, second.inputs),
        "outputs": _port_changes(first.outputs, second.outputs),
        "weights": [dataclasses.asdict(change) for change in weight_changes(first, second)],
    }
    return dumped(tree)


# ------------------------------------------------------------------------------------------------ what changed
_FIGURES = {
    "file_bytes": "file size", "parameters": "parameters", "nonzeros": "non-zeros", "macs": "multiply-accumulates",
    "constant_bytes": "constants", "graph_bytes": "nodes, names, headers", "weight_bytes_loaded": "weights once loaded",
    "nodes": "nodes", "functions": "functions", "opset": "opset", "ir_version": "IR version",
}  # fmt: skip


def op_changes(first: Inspection, second: Inspection) -> list[tuple[str, int, int]]:
    """(operator, nodes before, nodes after) where the numbers differ, in alphabetical order."""
    before, after = dict(first.ops), dict(second.ops)
    both = sorted({*before, *after})
    return [(op, before.get(op, 0), after.get(op, 0)) for op in both if before.get(op) != after.get(op)]


def weight_changes(first: Inspection, second: Inspection) -> list[WeightChange]:
    """Largest first."""
    before, after = ({weight.name: weight for weight in model.weights} for model in (first, second))
    changes = []
    for name in {*before, *after}:
        old, new = before.get(name), after.get(name)
        if old is None:
            changes.append(WeightChange(name, "added", None, new))
        elif new is None:
            changes.append(WeightChange(name, "removed", old, None))
        elif (old.dtype, old.shape, old.size_bytes) != (new.dtype, new.shape, new.size_bytes):
            changes.append(WeightChange(name, "changed", old, new))
    return sorted(changes, key=lambda change: (-max(_bytes(change.before), _bytes(change.after)), change.name))


def _port_changes(first: Sequence[PortFacts], second: Sequence[PortFacts]) -> list[dict[str, object]]:
    if first == second:
        return []
    before, after = ({port.name: port for port in ports} for ports in (first, second))
    return [
        {"name": name, "before": _plain(before.get(name)), "after": _plain(after.get(name))}
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ] or [{"name": "(order)", "before": list(before), "after": list(after)}]


def _plain(port: PortFacts | None) -> dict[str, object] | None:
    return None if port is None else dataclasses.asdict(port)


def _same(first: Inspection, second: Inspection) -> bool:
    """True if the model files are equal and neither has data elsewhere, of which only the sizes are known."""
    return first.sha256 == second.sha256 and not (first.external_files or second.external_files)


def _bytes(weight: WeightFacts | None) -> int:
    return weight.size_bytes if weight else 0


# ------------------------------------------------------------------------------------------------ tables
def _figures_table(first: Inspection, second: Inspection) -> Table:
    rows = []
    for name, label in _FIGURES.items():
        before, after = getattr(first, name), getattr(second, name)
        write = format_bytes if "bytes" in name else format_count
        rows.append([label, write(before), write(after), _change(name, before, after)])
    return make_table("Figures", ["", "first", "second", "change"], rows, {1, 2})


def _change(name: str, before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return ""
    if name in ("opset", "ir_version", "nodes", "functions"):
        return "same" if before == after else f"{after - before:+,}"
    return format_smaller(before, after)


def _ports_table(first: Inspection, second: Inspection) -> Table:
    rows = []
    for kind, before, after in (("input", first.inputs, second.inputs), ("output", first.outputs, second.outputs)):
        for change in _port_changes(before, after):
            rows.append([kind, str(change["name"]), _port(change["before"]), _port(change["after"])])
    return make_table("Interface", ["", "name", "first", "second"], rows, set())


def _port(port: object) -> str:
    if not isinstance(port, dict):
        return ", ".join(map(str, port)) if isinstance(port, list) else "-"
    return f"{port['dtype']} {'any shape' if port['shape'] is None else list(port['shape'])}"


def _ops_table(first: Inspection, second: Inspection) -> Table:
    rows = [[op, str(a), str(b), f"{b - a:+}"] for op, a, b in op_changes(first, second)]
    return make_table("Operators", ["operator", "first", "second", "change"], rows, {1, 2, 3})


def _weights_table(changes: Sequence[WeightChange]) -> Table:
    rows = [
        [
            change.name,
            change.change,
            _stored(change.before),
            _stored(change.after),
            _smaller(change.before, change.after),
        ]
        for change in changes
    ]
    return make_table("Weights", ["weight", "", "first", "second", "change"], rows, set())


def _stored(weight: WeightFacts | None) -> str:
    return f"{weight.dtype} {shape_text(weight.shape)}, {format_bytes(weight.size_bytes)}" if weight else "-"


def _smaller(before: WeightFacts | None, after: WeightFacts | None) -> str:
    return format_smaller(before.size_bytes, after.size_bytes) if before and after else ""
