"""The page of `check`: each model with its checks, and how much of each limit it uses."""

from __future__ import annotations

from nncompress.errors import printable
from nncompress.report.charts.axes import shortened
from nncompress.report.charts.boxes import Bars, Key, against_limits, of_rules
from nncompress.report.pages.page import Folded, Head, Missed, machine, made, missed, render_page
from nncompress.report.pages.tiles import Tile, verdict_tile
from nncompress.report.rules_table import table_of_rules
from nncompress.results.check import CheckedModel, CheckReport
from nncompress.results.units import format_bytes, format_cosine, format_metric

MOST_TILES = 11
_KEYS = (Key("pass", "within"), Key("warn", "warns"), Key("fail", "missed"), Key("limit", "limit"))


def render_check_html(report: CheckReport) -> str:
    """A whole page."""
    worst_first = sorted(report.models, key=lambda model: ("fail", "warn", "pass").index(model.level))
    several = len(report.models) > 1
    short: list[Missed] = [one for model in worst_first for one in missed(model.rules, model.path if several else "")]
    short.sort(key=lambda one: one.level != "fail")
    title = f"{report.headline} in {printable(report.config)}"
    head = Head(
        report.level, title, report.headline, made("check", report.environment),
        (verdict_tile(report.rules), *(_tile(model) for model in worst_first[:MOST_TILES])), tuple(short),
        tuple(printable(note) for note in report.notes),
    )  # fmt: skip
    tables = [Folded(table_of_rules(printable(model.path), model.rules)) for model in worst_first]
    bars = [bars for model in worst_first if (bars := _bars(model))]
    return render_page("check.html.j2", head, [*tables, machine(report.environment)], bars=bars)


def _tile(model: CheckedModel) -> Tile:
    figures = model.figures
    keys = [] if figures is None else [Key("", format_bytes(figures.size_bytes))]
    if figures is not None and figures.metric is not None and figures.metric_name is not None:
        shown = format_metric(figures.metric, is_share=figures.metric_is_share)
        keys.append(Key("", printable(f"{figures.metric_name} {shown}")))
    if figures is not None and figures.cosine is not None:
        keys.append(Key("", f"cosine {format_cosine(figures.cosine)}"))
    if figures is not None and figures.latency_ratio is not None:
        keys.append(Key("", f"{figures.latency_ratio:.2f}x the latency of the reference"))
    return Tile(shortened(printable(model.path)), model.level.upper(), of_rules(model.rules), tuple(keys), model.level)


def _bars(model: CheckedModel) -> Bars | None:
    rows = against_limits(model.rules)
    kinds = {"limit", *(row.level for row in rows)}
    keys = tuple(key for key in _KEYS if key.kind in kinds)
    return Bars(f"{printable(model.path)} against its limits", keys, rows) if rows else None
