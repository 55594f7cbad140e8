"""Renders what `inspect` found in one model: tables for people, and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nncompress.errors import printable
from nncompress.report.inspect_difference import difference_json, difference_sections, difference_text
from nncompress.report.json_text import dumped
from nncompress.report.layout import Section, plain
from nncompress.report.ledger_table import shape_text
from nncompress.report.tables import Table, make_table
from nncompress.results.inspection import Inspection, PortFacts, WeightFacts
from nncompress.results.units import format_bytes, format_count, format_share, format_smaller

__all__ = ["difference_json", "difference_sections", "difference_text", "inspection_json", "inspection_text"]

ROWS_SHOWN = 12  # of a table, without --verbose
NAMES_SHOWN = 3


def inspection_text(inspection: Inspection, *, verbose: bool = False) -> str:
    """`inspection_sections` as plain lines."""
    return plain(inspection_sections(inspection, verbose=verbose))


def inspection_sections(inspection: Inspection, *, verbose: bool = False) -> list[Section]:
    """What there is, and what could be done; `verbose` lists every weight and every operator."""
    count = len(inspection.weights) + len(inspection.ops) if verbose else ROWS_SHOWN
    return [
        [_headline(inspection)],
        _file_table(inspection),
        _ports_table(inspection),
        _ops_table(inspection).head(count),
        _dtypes_table(inspection),
        _weights_table(inspection, count),
        *_outlook(inspection),
        [printable(note) for note in inspection.notes],
    ]


def inspection_json(inspection: Inspection) -> str:
    """Indented JSON in plain ASCII: the record field by field."""
    tree = dataclasses.asdict(inspection) | {"graph_bytes": inspection.graph_bytes}
    return dumped({"schema_version": tree.pop("schema_version"), **tree})


def _headline(inspection: Inspection) -> str:
    size, parameters = format_bytes(inspection.file_bytes), format_count(inspection.parameters)
    return printable(f"{inspection.path}: {size}, {parameters} parameters, {_weights(len(inspection.weights))}")


def _weights(count: int) -> str:
    return f"{count} weight{'s' * (count != 1)}"


# ------------------------------------------------------------------------------------------------ tables
def _file_table(inspection: Inspection) -> Table:
    others = [f"{domain} {version}" for domain, version in inspection.opsets]
    functions = f", {inspection.functions} functions" if inspection.functions else ""
    rows = [
        ["file size", f"{format_bytes(inspection.file_bytes)} ({inspection.file_bytes:,} bytes)"],
        *(["external data", f"{name}, {format_bytes(size)}"] for name, size in inspection.external_files),
        ["SHA-256", inspection.sha256],
        ["opset / IR version", ", ".join([f"{inspection.opset} / {inspection.ir_version}", *others])],
        ["made by", inspection.producer or "not said"],
        ["nodes", f"{format_count(inspection.nodes)}{functions}"],
        ["parameters", format_count(inspection.parameters)],
        ["non-zeros", _nonzeros(inspection)],
        ["multiply-accumulates", format_count(inspection.macs) if inspection.macs is not None else "depends on sizes"],
        ["weights once loaded", format_bytes(inspection.weight_bytes_loaded)],
        ["nodes, names, headers", format_bytes(inspection.graph_bytes)],
        ["already quantized", ", ".join(f"{count} {what}" for what, count in inspection.quantized) or "nothing"],
    ]
    return make_table("File", ["", ""], rows, set())


def _nonzeros(inspection: Inspection) -> str:
    if inspection.nonzeros is None or not inspection.parameters:
        return format_count(inspection.nonzeros)
    return f"{format_count(inspection.nonzeros)} ({format_share(inspection.nonzeros / inspection.parameters)})"


def _ports_table(inspection: Inspection) -> Table:
    rows = [["input", *_port(port)] for port in inspection.inputs]
    rows += [["output", *_port(port)] for port in inspection.outputs]
    return make_table("Interface", ["", "name", "type", "shape"], rows, set())


def _port(port: PortFacts) -> list[str]:
    return [port.name, port.dtype, "any" if port.shape is None else f"[{', '.join(map(str, port.shape))}]"]


def _ops_table(inspection: Inspection) -> Table:
    """Those that read most bytes first, then the most frequent ones."""
    counts, sizes = dict(inspection.ops), dict(inspection.bytes_by_op)
    names = sorted({*counts, *sizes}, key=lambda op: (-sizes.get(op, 0), -counts.get(op, 0), op))
    rows = [[op, str(counts.get(op, "")), format_bytes(sizes[op]) if op in sizes else ""] for op in names]
    return make_table("Operators", ["operator", "nodes", "constants read"], rows, {1, 2})


def _dtypes_table(inspection: Inspection) -> Table:
    rows = [[dtype, format_bytes(size), _share(size, inspection)] for dtype, size in inspection.bytes_by_dtype]
    return make_table("Constants by type", ["type", "size", "of the file"], rows, {1, 2})


def _weights_table(inspection: Inspection, count: int) -> Table:
    rows = [_weight_row(weight) for weight in inspection.weights[:count]]
    rest = inspection.weights[count:]
    if rest:
        rows.append([f"... {len(rest)} more (-v lists them)", "", "", *_sum(rest, inspection), "", ""])
    header = ["weight", "read by", "shape", "size", "of the file", "zeros", "note"]
    return make_table("Weights", header, rows, {3, 4, 5})


def _weight_row(weight: WeightFacts) -> list[str]:
    return [
        weight.name,
        ", ".join(weight.ops),
        f"{weight.dtype} {shape_text(weight.shape)}",
        format_bytes(weight.size_bytes),
        format_share(weight.share),
        format_share(weight.sparsity),
        "; ".join(_remarks(weight)),
    ]


def _remarks(weight: WeightFacts) -> list[str]:
    remarks = [f"read by {weight.uses} nodes"] if weight.uses > 1 else []
    remarks += [f"{weight.nonfinite} NaN or infinite"] if weight.nonfinite else []
    return remarks + ([weight.barrier] if weight.barrier else [])


def _sum(weights: Sequence[WeightFacts], inspection: Inspection) -> list[str]:
    size = sum(weight.size_bytes for weight in weights)
    return [format_bytes(size), _share(size, inspection)]


def _share(size: int, inspection: Inspection) -> str:
    return format_share(size / max(1, inspection.file_bytes))


# ------------------------------------------------------------------------------------------------ what could be done
def _outlook(inspection: Inspection) -> list[Section]:
    predicted = inspection.prediction
    if predicted is None:
        return [["Nothing could be compressed: no weights are stored as floats."]]
    change = f"{format_bytes(predicted.bytes_before)} -> {format_bytes(predicted.bytes_after)}"
    if predicted.bytes_after < predicted.bytes_before:
        smaller = format_smaller(predicted.bytes_before, predicted.bytes_after)
        lines = [f"{predicted.command} would give {change} ({smaller}), {_weights(predicted.compressed)} compressed."]
        lines.append("This is a prediction of the size: run it to see what it costs in accuracy and time.")
    elif predicted.compressed:
        lines = [f"{predicted.command} would not make it smaller ({change})."]
    else:
        lines = [f"{predicted.command} would find nothing to compress."]
    rows = [
        [group.reason, str(group.count), format_bytes(group.size_bytes), _some(group.names, group.count)]
        for group in predicted.left_alone
    ]
    table = make_table("Left alone", ["reason", "weights", "size", "names"], rows, {1, 2}).head(ROWS_SHOWN)
    return [lines, table]


def _some(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown + (f" and {count - NAMES_SHOWN} more" if count > NAMES_SHOWN else "")
