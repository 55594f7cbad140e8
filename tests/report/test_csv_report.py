"""CSV: the bytes add up, and nothing runs in a spreadsheet."""

from __future__ import annotations

import csv
import io

from nncompress.report.csv_report import COLUMNS, render_csv
from tests.sample_report import LEDGER, hostile_report, sample_report


def test_one_row_a_line_of_the_ledger_whose_bytes_add_up() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(sample_report()))))
    assert [row["name"] for row in rows[:2]] == ["conv2.weight", "[w]"]
    assert sum(int(row["bytes_before"]) for row in rows) == sum(line.bytes_before for line in LEDGER) == 1_210_000
    assert sum(int(row["bytes_after"]) for row in rows) == 313_500
    assert rows[0]["sqnr_db"] == "38.200"
    assert rows[0]["detail"] == "int8, per channel (axis 0)"
    assert (rows[3]["status"], rows[3]["sqnr_db"]) == ("left alone", "")
    assert rows[3]["reason"] == "too small: 100 elements, --min-elements is 1024"
    assert tuple(rows[0]) == COLUMNS


def test_hostile_names_stay_in_their_cell_and_are_no_formula() -> None:
    text = render_csv(hostile_report())
    assert all(line.isprintable() for line in text.splitlines())
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2
    assert rows[1]["name"].startswith("'=cmd\\x1b[31m")
