"""Task metrics by name: each watches both models feed by feed and says how well each does the task.

top-K, f1 (macro), mse, recall@K, token-error-rate, ctc-error-rate, and module:function for one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nncompress.errors import InputError, UsageError, nearest
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import TaskMetric
from nncompress.validate.metrics.classification import Classification, f1, most_for_top5, top
from nncompress.validate.metrics.names import WITH_NUMBER, check_metric
from nncompress.validate.metrics.own_metric import OwnMetric
from nncompress.validate.metrics.retrieval import Retrieval
from nncompress.validate.metrics.sequence_errors import SequenceErrors, best_path, best_tokens
from nncompress.validate.metrics.squared_error import SquaredError

_FLOATS = {"tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"}
_TABLES = {f"seq(map({key},tensor(float)))" for key in ("string", "int64")}
"""Of a classifier that names its classes: a row for each sample, a column for each class in the order of names."""
_INTEGERS = {f"tensor({sign}int{bits})" for sign in ("", "u") for bits in (8, 16, 32, 64)}

Outputs = Mapping[str, Array]


class Metric(Protocol):
    """Counts over all feeds. Raises InputError where outputs and labels do not fit together."""

    @property
    def output(self) -> str | None:
        """The output that it is about, which has to keep its shape; None: it looks at all of them."""

    def add(self, reference: Outputs, candidate: Outputs, feed: Feed) -> None:
        """One feed, and what both models made of it."""

    def finish(self) -> tuple[TaskMetric, ...]:
        """The figures of both models."""


def make_metrics(
    names: Sequence[str], labels: Array | None, outputs: Mapping[str, str], wanted: str | None
) -> list[Metric]:
    """The metrics `names` on the original's `outputs` ({name: type}); without names top-1 and top-5 of the labels.

    `wanted` is the output that they are about; None: the first that suits. Raises UsageError, InputError.
    """
    if wanted is not None and wanted not in outputs:
        raise UsageError(f"the model has no output {wanted!r}{nearest(wanted, outputs)}")
    if not names:
        if labels is None:
            return []
        name = _output(outputs, wanted, _FLOATS, _TABLES)
        return [Classification(labels, name, most_for_top5)]
    return [_metric(name, labels, outputs, wanted) for name in dict.fromkeys(names)]


def _metric(name: str, labels: Array | None, outputs: Mapping[str, str], wanted: str | None) -> Metric:
    check_metric(name)
    if ":" in name:
        return OwnMetric(name, labels)
    numbered = WITH_NUMBER.fullmatch(name)
    if numbered and numbered[1] == "recall@":
        return Retrieval(int(numbered[2]), labels, _output(outputs, wanted, _FLOATS))
    if labels is None:
        raise InputError(f"metric {name!r} needs labels: give them with --labels, or as an array 'labels' in the data")
    if name == "mse":
        return SquaredError(labels, _output(outputs, wanted, _FLOATS))
    output = _output(outputs, wanted, _FLOATS, _TABLES, _INTEGERS)
    if name == "token-error-rate":
        return SequenceErrors(name, labels, output, best_tokens)
    if name == "ctc-error-rate":
        return SequenceErrors(name, labels, output, best_path)
    return Classification(labels, output, f1 if name == "f1" else _top(int(numbered[2]) if numbered else 1))


def _top(k: int) -> Callable[[int], tuple[str, ...]]:
    return lambda _: (top(k),)


def _output(outputs: Mapping[str, str], wanted: str | None, *kinds: set[str]) -> str:
    """The output wanted, else the first of the first kind that there is."""
    if wanted is not None:
        return wanted
    suiting = [name for kind in kinds for name, element in outputs.items() if element in kind]
    if not suiting:
        raise InputError("labels are given, and no output is a tensor of floats that they could be about")
    return suiting[0]
