"""Renders a report as one HTML file that needs no network: charts are inline SVG, styles inline CSS.

It can be read in full without scripts. The only one, inline, sorts the ledger.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from nncompress.errors import printable
from nncompress.report.charts import axes as charts, values as value_charts
from nncompress.report.charts.front import fronts
from nncompress.report.charts.waterfall import waterfall
from nncompress.report.ledger_table import full_ledger_table, largest_first, skipped_table
from nncompress.report.results_table import NOTE, missing_table, results_headline, results_table
from nncompress.report.tables import (
    classes_table,
    comparison_table,
    environment_table,
    feeds_lines,
    fidelity_table,
    latency_interval,
    metrics_table,
    rules_table,
    samples_table,
)
from nncompress.results.front import Results
from nncompress.results.record import Report, Run
from nncompress.results.summary import headline, latency_change

TEMPLATE = "report.html.j2"
RESULTS_TEMPLATE = "results.html.j2"
LARGEST_WEIGHTS = 40
MOST_POINTS = 1000  # of the scatter plot: more cannot be told apart


def render_html(report: Report) -> str:
    """A whole page."""
    run = report.comparison.run
    weights = [line for line in report.ledger if line.kind == "weight"]
    return render_page(
        TEMPLATE,
        script=_file("sort.js") if weights else "",
        level=report.verdict.level,
        headline=headline(report),
        rules=rules_table(report),
        comparison=comparison_table(report),
        feeds=[*feeds_lines(run), *map(printable, report.notes)],
        fidelity=fidelity_table(run) if run else None,
        samples=samples_table(run) if run else None,
        metrics=metrics_table(run) if run and run.metrics else None,
        classes=classes_table(run) if run else None,
        ledger=full_ledger_table(report) if report.ledger else None,
        skipped=skipped_table(report),
        environment=environment_table(report),
        steps=waterfall(report),
        category_bars=charts.category_bars(report.ledger),
        weight_bars=charts.weight_bars(report.ledger, LARGEST_WEIGHTS),
        weight_count=len(weights),
        scatter=charts.size_against_sqnr(largest_first(weights)[:MOST_POINTS]),
        value_charts=value_charts.value_charts(report),
        value_width=value_charts.HISTOGRAM_WIDTH,
        value_height=value_charts.HEIGHT,
        latency=charts.latency_histograms(run.latency) if run and run.latency else None,
        latency_summary=_latency_summary(run),
        plot_width=charts.PLOT_WIDTH,
        plot_height=charts.PLOT_HEIGHT,
    )


def _latency_summary(run: Run | None) -> str:
    if run is None or run.latency is None:
        return ""
    latency = run.latency
    return f"Latency of the result: {latency_change(latency)} ({latency_interval(latency)})."


def render_results_html(results: Results) -> str:
    """Many results: their table, and the Pareto front of each original."""
    return render_page(
        RESULTS_TEMPLATE,
        level=results.level,
        headline=results_headline(results),
        results=results_table(results),
        missing=missing_table(results),
        note=NOTE,
        fronts=fronts(results),
        plot_width=charts.PLOT_WIDTH,
        plot_height=charts.PLOT_HEIGHT,
    )


def render_page(template: str, *, script: str = "", **content: object) -> str:
    """Jinja escapes every text; template errors are bugs, hence StrictUndefined."""
    import jinja2  # only this renderer needs it, and it takes longer to import than the others take to render

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nncompress.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = _file("page.css")
    return environment.get_template(template).render(
        content, style=style, script=script, policy=_policy(style, script)
    )  # fmt: skip


def _file(name: str) -> str:
    return (files("nncompress.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy under which nothing is loaded, and nothing else is applied or run."""
    sources = f"style-src {_source(style)}" + (f"; script-src {_source(script)}" if script else "")
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
