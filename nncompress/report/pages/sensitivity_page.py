"""The page of `sensitivity`: the weights by what compressing them does to the outputs."""

from __future__ import annotations

from nncompress.errors import printable
from nncompress.report.charts.axes import shortened
from nncompress.report.charts.boxes import Bars, Key, row, single
from nncompress.report.pages.page import Folded, Head, machine, made, render_page
from nncompress.report.pages.tiles import Tile
from nncompress.report.sensitivity_text import sensitivity_table, shown, source_lines
from nncompress.results.sensitivity import Effect, SensitivityReport
from nncompress.results.units import format_counted, format_db

MOST_BARS = 40


def render_sensitivity_html(report: SensitivityReport) -> str:
    """A whole page."""
    heading = f"{report.path}: {format_counted(len(report.weights), 'weight')}"
    head = Head(
        None, f"sensitivity: {printable(heading)}", printable(heading), made("sensitivity", report.environment),
        tuple(_tiles(report)), lines=tuple(source_lines(report)),
    )  # fmt: skip
    tables = [Folded(sensitivity_table(report), opened=True, sortable=len(report.weights)), machine(report.environment)]
    bars = [_bars(report, "Alone", "alone"), _bars(report, "All but it", "without")]
    return render_page("bars.html.j2", head, tables, bars=bars, latency=None, latency_summary="")


def _tiles(report: SensitivityReport) -> list[Tile]:
    worst, spared = report.weights[0], report.spared
    loudest = max(1e-9, _noise(report.everything), *(_noise(weight.alone) for weight in report.weights))

    def tile(title: str, effect: Effect, text: str, said: str) -> Tile:
        return Tile(title, text, single(_noise(effect), loudest), (Key("", printable(said)),))

    tiles = [tile("All compressed", report.everything, _decibels(report.everything), shown(report.everything, report))]
    name = shortened(printable(worst.name))
    tiles.append(tile("Most sensitive", worst.alone, name, f"alone: {shown(worst.alone, report)}"))
    if spared is not None:
        left = f"{format_counted(len(spared.names), 'weight')} left alone: {spared.bound}"
        tiles.append(tile("Recipe", spared.effect, _decibels(spared.effect), left))
    return tiles


def _bars(report: SensitivityReport, title: str, which: str) -> Bars:
    """Relative error of the outputs; longer is worse."""
    effects = [(weight.name, getattr(weight, which)) for weight in report.weights[:MOST_BARS]]
    longest = max(1e-9, *(_noise(effect) for _, effect in effects))
    rows = tuple(row(name, single(_noise(effect), longest), _decibels(effect)) for name, effect in effects)
    return Bars(f"{title}: error of the outputs", (), rows, "Longer is worse; SQNR in decibels.")


def _noise(effect: Effect) -> float:
    """|error| / |output|."""
    if effect.identical:
        return 0.0
    return 1.0 if effect.sqnr_db is None else float(10 ** (-effect.sqnr_db / 20))


def _decibels(effect: Effect) -> str:
    return "identical" if effect.identical else format_db(effect.sqnr_db)
