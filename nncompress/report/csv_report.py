"""Renders the ledger as CSV, one line a weight and one for each of the rest of the file, for spreadsheets."""

from __future__ import annotations

import csv
import io

from nncompress.errors import printable
from nncompress.report.ledger_table import largest_first
from nncompress.results.record import LedgerLine, Report, Rewritten, Skipped
from nncompress.results.worst import is_rewritten

COLUMNS = (
    "name",
    "kind",
    "ops",
    "shape",
    "dtype",
    "bytes_before",
    "bytes_after",
    "form",
    "status",
    "sqnr_db",
    "output_sqnr_db",
    "passes",
    "detail",
    "reason",
)
FORMULA_STARTS = ("=", "+", "-", "@")  # a spreadsheet would evaluate such a cell


def render_csv(report: Report) -> str:
    """A header and one row for each line of the ledger; the byte columns add up to the two files.

    Text that a spreadsheet would take for a formula starts with an apostrophe; control characters are escaped.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(line) for line in largest_first(report.ledger))
    return stream.getvalue()


def _row(line: LedgerLine) -> list[str | int]:
    return [
        inert_cell(line.name),
        line.kind,
        inert_cell(" ".join(line.ops)),
        "x".join(map(str, line.shape)),
        line.dtype,
        line.bytes_before,
        line.bytes_after,
        line.form,
        "rewritten" if is_rewritten(line) else "left alone" if line.kind == "weight" else "",
        _decibels(line.sqnr_db),
        _decibels(line.output_sqnr_db),
        inert_cell("; ".join(outcome.by for outcome in line.outcomes)),
        inert_cell("; ".join(o.detail for o in line.outcomes if isinstance(o, Rewritten))),
        inert_cell("; ".join(o.reason for o in line.outcomes if isinstance(o, Skipped))),
    ]


def _decibels(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.3f}"


def inert_cell(text: str) -> str:
    """`text` as a spreadsheet shows it and does not act on it."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA_STARTS) else shown
