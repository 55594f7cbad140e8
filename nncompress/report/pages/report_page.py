"""The page of one compression or comparison."""

from __future__ import annotations

from nncompress.errors import printable
from nncompress.report.charts import closeness, sizes, values
from nncompress.report.charts.latency import latencies
from nncompress.report.charts.waterfall import waterfall
from nncompress.report.ledger_table import full_ledger_table, short_ledger_table, skipped_table
from nncompress.report.pages.page import Folded, Head, made, missed, render_page
from nncompress.report.pages.tiles import tiles
from nncompress.report.rules_table import rules_table
from nncompress.report.tables import (
    Table,
    classes_table,
    comparison_table,
    environment_table,
    feeds_lines,
    fidelity_table,
    latency_interval,
    make_table,
    metrics_table,
    samples_table,
)
from nncompress.results.record import Comparison, Report, Run
from nncompress.results.summary import heading, headline, latency_change

MOST_BYTES = 290_000
ROOMS = (1000, 500, 250, 100, 40)  # weights in the ledger and in the scatter plot; tried until the page is short enough
OPEN_ROWS = 30  # of a ledger that is not folded


def render_html(report: Report) -> str:
    """A whole page; of very many weights the smallest are summed up."""
    for room in ROOMS:
        text = _rendered(report, room)
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def _rendered(report: Report, room: int) -> str:
    run, rules = report.comparison.run, report.verdict.rules
    head = Head(
        report.verdict.level, headline(report), heading(report), made(report.command, report.environment),
        tiles(report.comparison, rules), tuple(missed(rules)), tuple(_lines(report.comparison)),
    )  # fmt: skip
    bars = [waterfall(report), sizes.category_bars(report.ledger), sizes.weight_bars(report.ledger)]
    if run:
        bars += [closeness.metric_bars(run), closeness.class_bars(run), closeness.output_bars(run)]
    return render_page(
        "report.html.j2", head, _tables(report, room), bars=[one for one in bars if one],
        strip=sizes.weight_strip(report.ledger), scatter=closeness.size_against_sqnr(report.ledger, room),
        latency=_latencies(run), latency_summary=_latency_summary(run), value_charts=values.value_charts(report),
        value_width=values.HISTOGRAM_WIDTH, value_height=values.HEIGHT,
    )  # fmt: skip


def _lines(comparison: Comparison) -> list[str]:
    """What it was measured on; what makes latency doubtful stands below its picture."""
    latency = comparison.run.latency if comparison.run else None
    noise = {printable(line) for line in latency.noise} if latency else set()
    return [line for line in feeds_lines(comparison) if line not in noise]


def _latencies(run: Run | None) -> object:
    if run is None or run.latency is None:
        return None
    return latencies([("original", run.latency.reference), ("result", run.latency.candidate)])


def _latency_summary(run: Run | None) -> str:
    if run is None or run.latency is None:
        return ""
    latency = run.latency
    told = f"Latency of the result: {latency_change(latency)} ({latency_interval(latency)})."
    return printable(" ".join([told, *(f"{line}." for line in latency.noise)]))


def _tables(report: Report, room: int) -> list[Folded]:
    run = report.comparison.run
    tables = [Folded(rules_table(report)), Folded(comparison_table(report), opened=True)]
    if run:
        shown = [
            metrics_table(run) if run.metrics else None,
            classes_table(run),
            fidelity_table(run),
            samples_table(run),
        ]
        tables += [Folded(table) for table in shown if table]
    if report.ledger:
        tables.append(_ledger(report, room))
    skipped = skipped_table(report)
    tables += [Folded(skipped)] if skipped.rows else []
    tables += [Folded(_notes(report))] if report.notes else []
    return [*tables, Folded(environment_table(report))]


def _ledger(report: Report, room: int) -> Folded:
    weights = sum(line.kind == "weight" for line in report.ledger)
    if weights > room:
        return Folded(short_ledger_table(report, room))
    return Folded(full_ledger_table(report), opened=weights <= OPEN_ROWS, sortable=weights)


def _notes(report: Report) -> Table:
    return make_table("Notes", [""], [[printable(note)] for note in report.notes], set())
