"""Renders many results as plain text, Markdown, JSON, CSV and JUnit."""

from __future__ import annotations

import csv
import dataclasses
import io
from dataclasses import replace

from nncompress.report.csv_report import inert_cell
from nncompress.report.json_text import dumped
from nncompress.report.layout import Section, plain
from nncompress.report.markdown import MARKS, MOST_BYTES, ROOMS, inert, markdown_table
from nncompress.report.results_table import NOTE, missing_table, results_headline, results_table
from nncompress.results.front import Result, Results

_COLUMNS = [field.name for field in dataclasses.fields(Result)]


def results_sections(results: Results) -> list[Section]:
    """The table, what has no result, and the verdict."""
    tables: list[Section] = [replace(results_table(results), title=""), [NOTE]] if results.results else []
    return [*tables, missing_table(results), [verdict_line(results)]]


def results_text(results: Results) -> str:
    """The same as plain lines, nothing cut."""
    return plain(results_sections(results))


def verdict_line(results: Results) -> str:
    """The level, and what was counted."""
    return f"{results.level.upper()}  {results_headline(results)}"


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
