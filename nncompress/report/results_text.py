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


def results_text(found: Results) -> str:
    """Plain lines, nothing cut."""
    head = f"{found.level.upper()}  {results_headline(found)}"
    lines = [head]
    if found.results:
        lines += ["", *aligned(results_table(found)), "", NOTE]
    if found.missing:
        missing = missing_table(found)
        lines += ["", missing.title, *aligned(missing)]
    return "\n".join(lines) + "\n"


def results_markdown(found: Results) -> str:
    """A table that is cut where it gets too long."""
    head = f"## {MARKS[found.level]} {results_headline(found)}"
    for room in ROOMS:
        parts = [head, markdown_table(results_table(found), room), inert(NOTE, room)]
        parts += [markdown_table(missing_table(found), room)] if found.missing else []
        text = "\n\n".join(parts) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def results_json(results: Results) -> str:
    """The record field by field, but for the reports; a loss that was not measured is "Infinity"."""
    tree = dataclasses.asdict(dataclasses.replace(results, reports=()))
    del tree["reports"]
    return dumped(tree)


def results_csv(found: Results) -> str:
    """A header and one row a result."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in found.results:
        values = {**dataclasses.asdict(one), "passes": " + ".join(one.passes)}
        writer.writerow([inert_cell(value) if isinstance(value, str) else value for value in values.values()])
    return stream.getvalue()
