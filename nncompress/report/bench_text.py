"""Renders the result of `bench`: plain text and JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from nncompress.errors import printable
from nncompress.report.json_text import dumped
from nncompress.report.layout import Section, plain
from nncompress.report.tables import Table, make_table
from nncompress.results.bench import Benched, BenchReport
from nncompress.results.units import NOT_MEASURED, format_bytes, format_count, format_median, format_ms, format_time

_HEADER = [
    "model",
    "size",
    "load",
    "peak memory",
    "latency, median ± IQR",
    "ratio to the first, 99 % interval",
    "energy",
]


def bench_text(report: BenchReport) -> str:
    """`bench_sections` as plain lines."""
    return plain(bench_sections(report))


def bench_sections(report: BenchReport) -> list[Section]:
    """One row a model, and below it where the figures come from."""
    lines = [*report.notes, *bench_lines(report)]
    return [replace(bench_table(report), title=""), list(map(printable, lines))]


def bench_table(report: BenchReport) -> Table:
    """One row a model."""
    rows = [_row(model, first=number == 0) for number, model in enumerate(report.models)]
    return make_table("Costs", _HEADER, rows, {1, 2, 3, 4, 6})


def bench_lines(report: BenchReport) -> list[str]:
    """Where the figures come from, one thing a line."""
    sources = {
        f"energy of one inference, {model.energy.kind}: {model.energy.source}": None
        for model in report.models
        if model.energy
    }
    inputs = {f"{model.path}: {', '.join(model.inputs)}{_work(model)}": None for model in report.models}
    environment, threads = report.environment, f"{report.threads} thread{'s' * (report.threads != 1)}"
    return [
        f"data: {report.data}" + (f" (seed {report.seed})" if report.data == "synthetic" else ""),
        *inputs,
        *sources,
        f"made {format_time(environment.made_at)}, onnxruntime {environment.onnxruntime}, {threads}, {environment.cpu}",
    ]


def bench_json(report: BenchReport) -> str:
    """The record field by field, with every sample."""
    return dumped(dataclasses.asdict(report))


def _work(model: Benched) -> str:
    return "" if model.macs is None else f": {format_count(model.macs)} multiply-accumulates"


def _row(model: Benched, *, first: bool) -> list[str]:
    ratio = "" if first else f"{model.ratio:.3f} ({model.ratio_low:.3f} to {model.ratio_high:.3f})"
    energy = f"{model.energy.millijoules:.3g} mJ {model.energy.kind}" if model.energy else NOT_MEASURED
    return [
        model.path,
        format_bytes(model.file_bytes),
        format_ms(model.load_ms),
        format_bytes(model.peak_bytes),
        format_median(model.latency.median_ms, model.latency.iqr_ms),
        ratio,
        energy,
    ]
