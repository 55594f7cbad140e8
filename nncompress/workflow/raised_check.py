"""Runs a model that was raised to a newer opset against the original: the two have to give the same outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nncompress.errors import InputError, NoOutputError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.synthesise import how_to_give, synthesise_choices
from nncompress.model.model import Model
from nncompress.model.raised import CannotRaise
from nncompress.onnx_file.output import check_result
from nncompress.onnx_file.read import load
from nncompress.results.record import OutputComparison
from nncompress.results.units import format_db
from nncompress.validate.in_child import OpenOriginal, original_in_child
from nncompress.workflow.in_file import in_file

LEAST_SQNR_DB = 80.0  # float32 kernels of two opsets agree to 100 dB and more where they are not the same


@dataclass(frozen=True)
class SameOutputs:
    """On what an original and itself in a newer opset give the same. Many results of one original are built on one
    answer."""

    original: OpenOriginal
    feeds: Feeds
    threads: int
    _answers: dict[int, str | CannotRaise] = field(default_factory=dict, init=False, repr=False)  # by opset

    def __call__(self, newer: Model) -> str:
        """Raises CannotRaise where they do not."""
        if newer.opset not in self._answers:
            with in_file(newer, "raised.onnx") as after:
                try:
                    self._answers[newer.opset] = _compared(self.original, after, self.feeds, self.threads)
                except CannotRaise as error:
                    self._answers[newer.opset] = error
        answer = self._answers[newer.opset]
        if isinstance(answer, CannotRaise):
            raise answer
        return answer


def same_made_up_outputs(original: Model, newer: Model) -> str:
    """The same for a model in memory, on made-up inputs. Raises CannotRaise too where none are accepted."""
    with in_file(original, "original.onnx") as before, in_file(newer, "raised.onnx") as after:
        try:
            choices = synthesise_choices(original.ir, seed=0, dims={})
            with original_in_child(before) as opened:
                feeds = opened.accepted(choices, how_to_give(input_specs(original.ir)))
                return _compared(opened, after, feeds, 1)
        except InputError as error:
            raise CannotRaise(f"it cannot be run to compare: {_told(error, before)}") from error


def _compared(original: OpenOriginal, after: Path, feeds: Feeds, threads: int) -> str:
    from nncompress.validate.compare import Request

    try:
        check_result(load(after), load(original.path))
        run = original.compared(Request(original.path, after, feeds.some(slice(None)), threads, seconds=0))
    except NoOutputError as error:
        raise CannotRaise(f"the converted model does not work: {_told(error, after)}") from error
    for output in run.outputs:
        difference = _difference(output)
        if difference:
            raise CannotRaise(f"the converted model gives another output {output.name!r}: {difference}")
    count = run.feeds.count
    return f"the same outputs on {count} {'synthetic ' * feeds.synthetic}feed{'s' * (count != 1)}"


def _difference(output: OutputComparison) -> str | None:
    fidelity = output.deployed
    if output.problem or fidelity is None:
        return output.problem
    if fidelity.identical or (fidelity.sqnr_db is not None and fidelity.sqnr_db >= LEAST_SQNR_DB):
        return None
    return "not equal" if fidelity.sqnr_db is None else f"SQNR {format_db(fidelity.sqnr_db)}"


def _told(error: Exception, path: Path) -> str:
    """What it says, without the path of a file that nobody knows."""
    return str(error).rpartition(f"{path}: ")[2].replace(f" from {path}", "")
