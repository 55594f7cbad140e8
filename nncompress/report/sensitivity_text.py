"""Renders the result of `sensitivity`: plain text, JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io

from nncompress.errors import printable
from nncompress.report.csv_report import inert_cell
from nncompress.report.json_text import dumped
from nncompress.report.layout import Section, plain
from nncompress.report.tables import Table, make_table
from nncompress.results.sensitivity import Effect, SensitiveWeight, SensitivityReport
from nncompress.results.units import (
    format_bytes,
    format_cosine,
    format_counted,
    format_db,
    format_drop,
    format_smaller,
)

ROWS_SHOWN = 20


def sensitivity_sections(report: SensitivityReport, *, verbose: bool = False) -> list[Section]:
    """The weights, the most sensitive first, and what was left as it is."""
    table = sensitivity_table(report)
    return [
        table if verbose else table.head(ROWS_SHOWN),
        [f"all {len(report.weights)} compressed: {shown(report.everything, report)}", *source_lines(report)],
        [summary_line(report)],
    ]


def sensitivity_text(report: SensitivityReport) -> str:
    """The same as plain lines, every weight."""
    return plain(sensitivity_sections(report, verbose=True))


def sensitivity_json(report: SensitivityReport) -> str:
    """The record field by field."""
    return dumped(dataclasses.asdict(report))


def sensitivity_csv(report: SensitivityReport) -> str:
    """A header and one row a weight."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    fields = [field.name for field in dataclasses.fields(Effect)]
    writer.writerow(
        ["name", "ops", "bytes_before", "bytes_after", *(f"{a}_{f}" for a in ("alone", "without") for f in fields)]
    )
    for weight in report.weights:
        effects = [getattr(effect, name) for effect in (weight.alone, weight.without) for name in fields]
        ops = " ".join(weight.ops)
        writer.writerow([inert_cell(weight.name), inert_cell(ops), weight.bytes_before, weight.bytes_after, *effects])
    return stream.getvalue()


def sensitivity_table(report: SensitivityReport) -> Table:
    """One row a weight: what it does alone, and what is left where it is spared."""
    header = ["weight", "read by", "size", "saved", "SQNR alone", "SQNR without", "lost alone", "lost without"]
    rows = [_row(weight, report) for weight in report.weights]
    count = len(header) if report.metric else len(header) - 2
    return make_table(
        "Sensitivity", header[:count], [row[:count] for row in rows], {2, 3, 4, 5, 6, 7} & set(range(count))
    )


def summary_line(report: SensitivityReport) -> str:
    """The most sensitive weight; and of a recipe, what it spares and reaches."""
    worst, spared, of = report.weights[0], report.spared, format_counted(len(report.weights), "weight")
    said = f"DONE  {report.path}: most sensitive of {of}: {worst.name} ({_sqnr(worst.alone)} alone)"
    if spared is not None:
        left = f"{format_counted(len(spared.names), 'weight')} left alone"
        said += f"; {spared.recipe}: {left}, {shown(spared.effect, report)} ({spared.bound})"
    return printable(said)


def shown(effect: Effect, report: SensitivityReport) -> str:
    """Such as "SQNR 31.2 dB, cosine 0.9996, top-1 0.25 points lost"."""
    if effect.identical:
        return "outputs identical"
    parts = [f"SQNR {_sqnr(effect)}", f"cosine {format_cosine(effect.cosine)}"]
    parts += [f"{report.metric} {_lost(effect, report)} lost"] if report.metric else []
    return ", ".join(parts)


def source_lines(report: SensitivityReport) -> list[str]:
    """What was measured, and on what."""
    feeds = report.feeds
    count = format_counted(feeds.count, "feed")
    made_up = f"SYNTHETIC inputs ({count}, seed {feeds.seed}): random data is no proof; give --data"
    on = made_up if feeds.synthetic else f"{count} from {feeds.source}"
    return [printable(line) for line in (f"passes: {', '.join(report.passes)}", f"measured on {on}", *report.notes)]


def _row(weight: SensitiveWeight, report: SensitivityReport) -> list[str]:
    return [
        weight.name,
        ", ".join(weight.ops),
        format_bytes(weight.bytes_before),
        format_smaller(weight.bytes_before, weight.bytes_after).removesuffix(" smaller"),
        _sqnr(weight.alone),
        _sqnr(weight.without),
        _lost(weight.alone, report),
        _lost(weight.without, report),
    ]


def _sqnr(effect: Effect) -> str:
    return "identical" if effect.identical else format_db(effect.sqnr_db)


def _lost(effect: Effect, report: SensitivityReport) -> str:
    return "-" if effect.metric_drop is None else format_drop(effect.metric_drop, is_share=report.metric_is_share)
