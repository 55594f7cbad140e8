"""What a sweep says at its end: the table of results, and the trials that have none."""

from __future__ import annotations

from collections.abc import Sequence

from nncompress.report.results import NOTE, results_headline, results_of, results_table
from nncompress.report.sweep_record import Ended, Lost, SweepResults
from nncompress.report.tables import Table, make_table
from nncompress.report.text import aligned


def sweep_text(found: SweepResults) -> str:
    """Plain lines, nothing cut."""
    results = results_of(found.reports)
    lines = [f"{_count(len(found.ended) + len(found.missing), 'trial')}: {results_headline(results)}"]
    if found.reports:
        lines += ["", *aligned(results_table(results)), "", NOTE]
    without = without_result(found)
    if without.rows:
        lines += ["", without.title, *aligned(without)]
    return "\n".join(lines) + "\n"


def without_result(found: SweepResults) -> Table:
    """Trials that made no report, and why."""
    rows = [[one.name, f"exit {one.exit_code}", one.message] for one in found.ended if not one.has_report]
    rows += [[name, "", "has not ended"] for name in found.missing]
    return make_table("Without result", ["trial", "", "why"], rows, set())


def progress_line(one: Ended | Lost, done: int, total: int, *, again: bool) -> str:
    """Such as "[ 3/16] 0  m.onnx -> m--int8.onnx: 3.86x smaller"."""
    place = f"[{done:{len(str(total))}}/{total}]"
    if isinstance(one, Lost):
        return f"{place} LOST  {one.name}: {one.reason}"
    said = {0: "DONE", 1: "FAIL"}.get(one.exit_code, "NONE")
    return f"{place} {said}  {one.name}: {one.message}{' (ended before)' if again else ''}"


def unsatisfied(found: SweepResults) -> list[str]:
    """The models none of whose trials passed, sorted."""
    passed = {one.model for one in found.ended if one.exit_code == 0}
    return sorted({one.model for one in found.ended} - passed)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def lost_lines(outcomes: Sequence[Ended | Lost]) -> list[str]:
    """One line for each trial that has to run again."""
    return [f"{one.name} did not end: {one.reason}" for one in outcomes if isinstance(one, Lost)]
