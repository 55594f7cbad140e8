"""What a sweep says while it runs and at its end, and its results for the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nncompress.results.front import NoResult, Results, results_of
from nncompress.results.sweep import Ended, Lost, SweepResults


def sweep_results(trials: SweepResults) -> Results:
    """Its reports, and the trials without one."""
    missing = [NoResult(trial.name, trial.exit_code, trial.message) for trial in trials.ended if not trial.has_report]
    missing += [NoResult(name, None, "has not ended") for name in trials.missing]
    return replace(results_of(trials.reports, missing), unsatisfied=tuple(unsatisfied(trials)))


def progress_line(outcome: Ended | Lost, done: int, total: int, *, again: bool) -> str:
    """Such as "[ 3/16] DONE  m--int8: m.onnx -> m--int8.onnx: 3.86x smaller"."""
    place = f"[{done:{len(str(total))}}/{total}]"
    if isinstance(outcome, Lost):
        return f"{place} LOST  {outcome.name}: {outcome.reason}"
    said = {0: "DONE", 1: "FAIL"}.get(outcome.exit_code, "NONE")
    return f"{place} {said}  {outcome.name}: {outcome.message}{' (ended before)' if again else ''}"


def unsatisfied(trials: SweepResults) -> list[str]:
    """The models none of whose trials passed, sorted."""
    passed = {trial.model for trial in trials.ended if trial.exit_code == 0}
    return sorted({trial.model for trial in trials.ended} - passed)


def lost_lines(outcomes: Sequence[Ended | Lost]) -> list[str]:
    """One line for each trial that has to run again."""
    return [f"{outcome.name} did not end: {outcome.reason}" for outcome in outcomes if isinstance(outcome, Lost)]
