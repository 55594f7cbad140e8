"""Reads back what --json saved: the report of a run, or that of `check`, told apart by what is in it."""

from __future__ import annotations

from nncompress.errors import InputError
from nncompress.report.check_json import check_of, is_check
from nncompress.report.json_report import report_of
from nncompress.report.json_text import parsed
from nncompress.results.check import CheckReport
from nncompress.results.record import Report


def read_saved(text: str) -> Report | CheckReport:
    """The record that was saved. Raises InputError, naming the place, for a damaged one and for any other text."""
    tree = parsed(text)
    if isinstance(tree, dict) and "has_report" in tree:
        raise InputError("it says how a trial of a sweep ended: the report is the .json without .trial beside it")
    return check_of(tree) if is_check(tree) else report_of(tree)
