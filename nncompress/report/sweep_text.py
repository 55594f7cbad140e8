"""What a sweep says while it runs and at its end, and its results for the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nncompress.results.front import NoResult, Results, results_of
from nncompress.results.sweep import Ended, Lost, SweepResults


def sweep_results(found: SweepResults) -> Results:
    """Its reports, and the trials without one."""
    missing = [NoResult(one.name, one.exit_code, one.message) for one in found.ended if not one.has_report]
    missing += [NoResult(name, None, "has not ended") for name in found.missing]
    return replace(results_of(found.reports, missing), unsatisfied=tuple(unsatisfied(found)))


def progress_line(one: Ended | Lost, done: int, total: int, *, again: bool) -> str:
    """Such as "[ 3/16] DONE  m--int8: m.onnx -> m--int8.onnx: 3.86x smaller"."""
    place = f"[{done:{len(str(total))}}/{total}]"
    if isinstance(one, Lost):
        return f"{place} LOST  {one.name}: {one.reason}"
    said = {0: "DONE", 1: "FAIL"}.get(one.exit_code, "NONE")
    return f"{place} {said}  {one.name}: {one.message}{' (ended before)' if again else ''}"


def unsatisfied(found: SweepResults) -> list[str]:
    """The models none of whose trials passed, sorted."""
    passed = {one.model for one in found.ended if one.exit_code == 0}
    return sorted({one.model for one in found.ended} - passed)


def lost_lines(outcomes: Sequence[Ended | Lost]) -> list[str]:
    """One line for each trial that has to run again."""
    return [f"{one.name} did not end: {one.reason}" for one in outcomes if isinstance(one, Lost)]
