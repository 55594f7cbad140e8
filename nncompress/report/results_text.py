"""Renders many results as plain text, Markdown, JSON, CSV and JUnit."""

from __future__ import annotations

import csv
import dataclasses
import io

from nncompress.report.csv_report import inert_cell
from nncompress.report.json_text import dumped
from nncompress.report.markdown import MARKS, MOST_BYTES, ROOMS, inert, markdown_table
from nncompress.report.results_table import NOTE, missing_table, results_headline, results_table
from nncompress.report.text import aligned
from nncompress.results.front import Result, Results

_COLUMNS = [field.name for field in dataclasses.fields(Result)]


def results_text(results: Results) -> str:
    """Plain lines, nothing cut."""
    head = f"{results.level.upper()}  {results_headline(results)}"
    lines = [head]
    if results.results:
        lines += ["", *aligned(results_table(results)), "", NOTE]
    if results.missing:
        missing = missing_table(results)
        lines += ["", missing.title, *aligned(missing)]
    return "\n".join(lines) + "\n"


def results_markdown(results: Results) -> str:
    """A table that is cut where it gets too long."""
    head = f"## {MARKS[results.level]} {results_headline(results)}"
    for room in ROOMS:
        parts = [head, markdown_table(results_table(results), room), inert(NOTE, room)]
        parts += [markdown_table(missing_table(results), room)] if results.missing else []
        text = "\n\n".join(parts) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def results_json(results: Results) -> str:
    """The record field by field, but for the reports; a loss that was not measured is "Infinity"."""
    tree = dataclasses.asdict(dataclasses.replace(results, reports=()))
    del tree["reports"]
    return dumped(tree)


def results_csv(results: Results) -> str:
    """A header and one row a result."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for result in results.results:
        values = {**dataclasses.asdict(result), "passes": " + ".join(result.passes), "missed": "; ".join(result.missed)}
        writer.writerow([inert_cell(value) if isinstance(value, str) else value for value in values.values()])
    return stream.getvalue()
