"""The page of `bench`: what each model costs, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nncompress.errors import printable
from nncompress.report.bench_text import bench_lines, bench_table
from nncompress.report.charts.axes import shortened
from nncompress.report.charts.boxes import Bars, Key, row, single
from nncompress.report.charts.latency import latencies
from nncompress.report.pages.page import Folded, Head, machine, made, render_page
from nncompress.report.pages.tiles import Tile
from nncompress.report.results_table import short_names
from nncompress.report.tables import make_table
from nncompress.results.bench import Benched, BenchReport
from nncompress.results.units import format_bytes, format_counted, format_median, format_ms

MOST_TILES = 8
_Figure = Callable[[Benched], float | None]


def render_bench_html(report: BenchReport) -> str:
    """A whole page."""
    names, sources = short_names(model.path for model in report.models), bench_lines(report)
    notes = make_table("Notes", [""], [[line] for line in [*report.notes, *sources[1:]]], set())
    report = replace(report, models=tuple(replace(model, path=names[model.path]) for model in report.models))
    heading = f"{format_counted(len(report.models), 'model')}, {format_counted(report.threads, 'thread')}"
    head = Head(
        None, f"bench: {heading}", heading, made("bench", report.environment),
        tuple(_tile(model, report.models) for model in report.models[:MOST_TILES]),
        lines=(printable(sources[0]),),
    )  # fmt: skip
    bars = [] if len(report.models) < 2 else [bars for bars in _bars(report.models) if bars]
    timings = [(model.path, model.latency) for model in report.models]
    tables = [Folded(bench_table(report), opened=True), Folded(notes), machine(report.environment)]
    return render_page(
        "bars.html.j2",
        head,
        tables,
        bars=bars,
        latency=latencies(timings),
        latency_summary=printable(" ".join(f"{note}." for note in report.notes)),
    )


def _tile(model: Benched, models: Sequence[Benched]) -> Tile:
    slowest = max(one.latency.median_ms for one in models)
    keys = [Key("", f"{format_bytes(model.file_bytes)}, loaded in {format_ms(model.load_ms)}")]
    if model is not models[0]:
        keys.append(Key("", f"{model.ratio:.3f} of the first [{model.ratio_low:.3f}, {model.ratio_high:.3f}]"))
    if model.peak_bytes is not None:
        keys.append(Key("", f"{format_bytes(model.peak_bytes)} of memory"))
    title = shortened(printable(model.path))
    return Tile(title, format_ms(model.latency.median_ms), single(model.latency.median_ms, slowest), tuple(keys))


def _bars(models: Sequence[Benched]) -> list[Bars | None]:
    return [
        _chart("Latency", models, lambda m: m.latency.median_ms, lambda m: _median(m)),
        _chart("File size", models, lambda m: m.file_bytes, lambda m: format_bytes(m.file_bytes)),
        _chart("Peak memory of a session", models, lambda m: m.peak_bytes, lambda m: format_bytes(m.peak_bytes)),
        _chart("Load time of a session", models, lambda m: m.load_ms, lambda m: format_ms(m.load_ms)),
        _chart("Energy of one inference", models, _energy, lambda m: f"{_energy(m):.3g} mJ"),
    ]


def _median(model: Benched) -> str:
    return format_median(model.latency.median_ms, model.latency.iqr_ms)


def _energy(model: Benched) -> float | None:
    return model.energy.millijoules if model.energy else None


def _chart(title: str, models: Sequence[Benched], figure: _Figure, shown: Callable[[Benched], str]) -> Bars | None:
    """None where a model lacks the figure."""
    figures = [value for model in models if (value := figure(model)) is not None]
    if len(figures) < len(models):
        return None
    longest = max(figures)
    rows = [row(model.path, single(value, longest), shown(model)) for model, value in zip(models, figures, strict=True)]
    return Bars(title, (), tuple(rows))
