"""Collects the comparison of all outputs over all feeds, matching outputs by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nncompress.calibrate.specs import Array
from nncompress.errors import InputError, NoOutputError, UsageError, nearest
from nncompress.report.record import OutputComparison, TaskMetric
from nncompress.validate.agreement import Agreement
from nncompress.validate.metrics import Scores, task_metrics
from nncompress.validate.session import Output, Session

_FLOATS = {"tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"}


class Tally:
    """Feed it with the outputs of both models, then read `outputs` and `metrics`."""

    def __init__(self, reference: Session, candidate: Session, labels: Array | None, metric_output: str | None) -> None:
        """Raises NoOutputError when the models' inputs differ, UsageError for an unknown `metric_output`."""
        _check_inputs(reference, candidate)
        self._types = dict(reference.outputs)
        self._ours, self._theirs = list(reference.outputs), list(candidate.outputs)
        self._deployed = {name: Agreement() for name in self._ours}
        self._exact = {name: Agreement() for name in self._ours}
        self._ran_exact = False
        self._problems = _interface_problems(reference, candidate)
        self._notes: dict[str, None] = {}
        self._metric_output = _metric_output(reference, metric_output) if labels is not None or metric_output else None
        self._scores: tuple[Scores, Scores] | None = None
        if labels is not None and self._metric_output in self._theirs:
            name = self._metric_output or ""
            self._scores = Scores(labels, name), Scores(labels, name)

    def add(self, reference: Sequence[Output], candidate: Sequence[Output], notes: tuple[str, ...]) -> None:
        """One feed's outputs of both models as deployed, and what was noted about the feed."""
        ours, theirs = self._named(reference, candidate)
        self._notes |= dict.fromkeys(notes)
        for name, agreement in self._deployed.items():
            if name in theirs:
                agreement.add(ours[name], theirs[name])
        if self._scores is not None and self._metric_output is not None:
            for scores, outputs in zip(self._scores, (ours, theirs), strict=True):
                scores.add(np.asarray(outputs[self._metric_output]))

    def add_exact(self, reference: Sequence[Output], candidate: Sequence[Output], notes: tuple[str, ...]) -> None:
        """One feed's outputs, the result's computed exactly."""
        self._ran_exact = True
        ours, theirs = self._named(reference, candidate)
        for name, agreement in self._exact.items():
            if name in theirs:
                agreement.add(ours[name], theirs[name])

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def outputs(self) -> tuple[OutputComparison, ...]:
        """The original's outputs in order, then outputs that only the result has."""
        added = [name for name in self._theirs if name not in self._types]
        return (*(self._output(name) for name in self._ours), *(_unexpected(name) for name in added))

    def metrics(self) -> tuple[TaskMetric, ...]:
        return () if self._scores is None else task_metrics(*self._scores)

    def _named(
        self, reference: Sequence[Output], candidate: Sequence[Output]
    ) -> tuple[dict[str, Output], dict[str, Output]]:
        return dict(zip(self._ours, reference, strict=True)), dict(zip(self._theirs, candidate, strict=True))

    def _output(self, name: str) -> OutputComparison:
        deployed, exact = self._deployed[name], self._exact[name]
        exact_fidelity = exact.fidelity() if self._ran_exact else None
        problem = self._problems.get(name) or deployed.verdict()
        if problem is None and self._ran_exact and exact.verdict() is not None:
            problem = f"computed exactly: {exact.verdict()}"
        return OutputComparison(
            name,
            deployed.dtype or self._types[name],
            problem,
            deployed.nonfinite_reference,
            deployed.nonfinite_candidate,
            deployed.fidelity(),
            None if exact_fidelity == deployed.fidelity() else exact_fidelity,
        )


def _check_inputs(reference: Session, candidate: Session) -> None:
    ours, theirs = list(reference.inputs.items()), list(candidate.inputs.items())
    if ours != theirs:
        shown = [", ".join(f"{name!r} {kind}" for name, kind in inputs) or "none" for inputs in (ours, theirs)]
        raise NoOutputError(f"the result's inputs differ from the original's: {shown[1]} instead of {shown[0]}")


def _interface_problems(reference: Session, candidate: Session) -> dict[str, str]:
    """What happened to each output of the original that is not in its place any more, or has another type."""
    ours, theirs = list(reference.outputs), list(candidate.outputs)
    problems = {}
    for position, name in enumerate(ours):
        if name not in candidate.outputs:
            problems[name] = "the result has no such output"
        elif candidate.outputs[name] != reference.outputs[name]:
            problems[name] = f"type changed from {reference.outputs[name]} to {candidate.outputs[name]}"
        elif theirs.index(name) != position:
            problems[name] = f"moved from position {position} to {theirs.index(name)}"
    return problems


def _unexpected(name: str) -> OutputComparison:
    return OutputComparison(name, "", "the original has no such output", 0, 0, None, None)


def _metric_output(reference: Session, wanted: str | None) -> str:
    if wanted is not None and wanted not in reference.outputs:
        raise UsageError(f"the model has no output {wanted!r}{nearest(wanted, reference.outputs)}")
    floats = [name for name, kind in reference.outputs.items() if kind in _FLOATS]
    if wanted is None and not floats:
        raise InputError("labels are given, and no output is a tensor of floats that they could be about")
    return floats[0] if wanted is None else wanted
