"""Collects the comparison of all outputs over all feeds, matching outputs by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nncompress.errors import NoOutputError
from nncompress.feeds.sizes import batch_sizes
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import Fidelity, OutputComparison, TaskMetric
from nncompress.runtime.session import OutputArray, Session
from nncompress.validate.agreement import Agreement
from nncompress.validate.metrics.choice import Metric, make_metrics
from nncompress.validate.sequences import Sequences
from nncompress.validate.states import States
from nncompress.validate.structure import as_array

_ROUNDING_DB = 60.0  # between two runs of one model: what threads change by adding up in another order
_NOT_COMPARABLE = "task metrics were not measured: the result's outputs changed their shape"


@dataclass(frozen=True, eq=False)
class Task:
    """What the models are to do well: metrics, and what is true."""

    metrics: Sequence[str] = ()  # (): top-1 and top-5 where there are labels
    labels: Array | None = None  # [samples, ...], in feed order
    output: str | None = None  # that the metrics are about; None: the first that suits


class Tally:
    """Feed it with the outputs of both models, then read `outputs` and `metrics`."""

    def __init__(
        self, reference: Session, candidate: Session, task: Task = Task(), feed_names: tuple[str, ...] = ()
    ) -> None:
        """Raises NoOutputError when the models' inputs differ, UsageError for an unknown output of the task."""
        _check_inputs(reference, candidate)
        self._specs = reference.specs
        self._types = dict(reference.outputs)
        self._ours, self._theirs = list(reference.outputs), list(candidate.outputs)
        self._deployed, self._exact, self._itself = (
            {name: Agreement(feed_names) for name in self._ours} for _ in range(3)
        )
        self._sequences = {name: Sequences() for name in self._ours}
        self._states = States()
        self._ran_exact = self._ran_again = False
        self._problems = _interface_problems(reference, candidate)
        self._notes: dict[str, None] = {}
        self._metrics: list[Metric] = []
        if task.metrics or task.output or task.labels is not None:
            metrics = make_metrics(task.metrics, task.labels, reference.outputs, task.output)
            self._metrics = [metric for metric in metrics if metric.output is None or metric.output in self._theirs]

    def add(
        self,
        reference: Sequence[OutputArray],
        candidate: Sequence[OutputArray],
        feed: Feed,
        notes: tuple[str, ...] = (),
    ) -> None:
        """One feed, what both models as deployed made of it, and what was noted about it."""
        ours, theirs = self._named(reference, candidate)
        self._notes |= dict.fromkeys(notes)
        self._agree(self._deployed, ours, theirs, feed)
        self._states.add(ours, feed)
        for name, sequences in self._sequences.items():
            if name in theirs:
                sequences.add(ours[name], theirs[name], feed)
        comparable = [m for m in self._metrics if m.output is None or _alike(ours, theirs, m.output)]
        if len(comparable) < len(self._metrics):
            self._notes[_NOT_COMPARABLE] = None
        self._metrics = comparable
        arrays, others = ({name: as_array(output) for name, output in each.items()} for each in (ours, theirs))
        for metric in self._metrics:
            metric.add(arrays, others, feed)

    def add_exact(
        self,
        reference: Sequence[OutputArray],
        candidate: Sequence[OutputArray],
        feed: Feed,
        notes: tuple[str, ...] = (),
    ) -> None:
        """One feed's outputs, the result's computed exactly."""
        self._ran_exact = True
        ours, theirs = self._named(reference, candidate)
        self._agree(self._exact, ours, theirs, feed)

    def add_itself(
        self,
        reference: Sequence[OutputArray],
        again: Sequence[OutputArray],
        feed: Feed,
        notes: tuple[str, ...] = (),
    ) -> None:
        """One feed's outputs, those of the original run once more in the place of the result's."""
        self._ran_again = True
        ours, twins = (dict(zip(self._ours, outputs, strict=True)) for outputs in (reference, again))
        self._agree(self._itself, ours, twins, feed)

    def _agree(
        self,
        agreements: Mapping[str, Agreement],
        ours: Mapping[str, OutputArray],
        theirs: Mapping[str, OutputArray],
        feed: Feed,
    ) -> None:
        batch = batch_sizes(feed, self._specs)
        for name, agreement in agreements.items():
            if name in theirs:
                agreement.add(ours[name], theirs[name], batch)

    @property
    def notes(self) -> tuple[str, ...]:
        pairs = ((name, self._states.of(name)) for name in self._ours)
        states = (
            f"output {name!r} is as large as input {given!r}: where it goes back in there, errors add up from step to"
            " step, and figures are of single steps"
            for name, given in pairs if given is not None
        )  # fmt: skip
        return (*self._notes, *states)

    def outputs(self) -> tuple[OutputComparison, ...]:
        """The original's outputs in order, then outputs that only the result has."""
        added = [name for name in self._theirs if name not in self._types]
        return (*(self._output(name) for name in self._ours), *(_unexpected(name) for name in added))

    def metrics(self) -> tuple[TaskMetric, ...]:
        return tuple(figure for metric in self._metrics for figure in metric.finish())

    def _with_edits(self, name: str, fidelity: Fidelity | None) -> Fidelity | None:
        edited = self._sequences[name].edited()
        return fidelity if fidelity is None or edited is None else replace(fidelity, edited=edited)

    def _named(
        self, reference: Sequence[OutputArray], candidate: Sequence[OutputArray]
    ) -> tuple[dict[str, OutputArray], dict[str, OutputArray]]:
        return dict(zip(self._ours, reference, strict=True)), dict(zip(self._theirs, candidate, strict=True))

    def _output(self, name: str) -> OutputComparison:
        deployed, exact, itself = self._deployed[name], self._exact[name], self._itself[name]
        exact_fidelity = exact.fidelity() if self._ran_exact else None
        random = _why_random(itself) if self._ran_again else None
        problem = self._problems.get(name) or (None if random else deployed.verdict())
        if problem is None and random is None and self._ran_exact and exact.verdict() is not None:
            problem = f"computed exactly: {exact.verdict()}"
        kind = self._types[name]
        return OutputComparison(
            name,
            (deployed.dtype or kind) if kind.startswith("tensor(") else kind,
            problem,
            deployed.nonfinite_reference,
            deployed.nonfinite_candidate,
            self._with_edits(name, deployed.fidelity()),
            None if exact_fidelity == deployed.fidelity() else exact_fidelity,
            random,
            itself.fidelity() if self._ran_again else None,
            self._states.of(name),
        )


def _why_random(itself: Agreement) -> str | None:
    """Why an output cannot be compared; None where the original gives it again, but for what rounding changes."""
    fidelity, problem = itself.fidelity(), itself.verdict()
    if problem is None and (fidelity is None or fidelity.identical or (fidelity.sqnr_db or 0) >= _ROUNDING_DB):
        return None
    return "it is random: the original run again differs from itself"


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


def _alike(ours: Mapping[str, OutputArray], theirs: Mapping[str, OutputArray], name: str) -> bool:
    arrays = as_array(ours[name]), as_array(theirs[name])
    return all(isinstance(array, np.ndarray) for array in arrays) and arrays[0].shape == arrays[1].shape
