"""The mean squared error of an output against its targets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nncompress.errors import InputError
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import TaskMetric


class SquaredError:
    """Targets [N, ...] are used up in feed order; sums in float64."""

    def __init__(self, targets: Array, output: str) -> None:
        self._targets = targets
        self.output = output
        self._used = 0
        self._elements = 0
        self._sums = [0.0, 0.0]

    def add(self, reference: Mapping[str, Array], candidate: Mapping[str, Array], feed: Feed) -> None:
        """Outputs [batch, ...] with as many elements a sample as the targets have."""
        values = [np.asarray(outputs[self.output], np.float64) for outputs in (reference, candidate)]
        count = len(values[0]) if values[0].ndim else 1
        targets = np.asarray(self._targets[self._used : self._used + count], np.float64)
        if targets.size != values[0].size:
            raise InputError(
                f"labels {list(self._targets.shape)} do not fit output {self.output!r} {list(values[0].shape)}: "
                "mse needs a target for each element, in feed order"
            )
        self._used += count
        self._elements += targets.size
        for place, value in enumerate(values):
            self._sums[place] += float(np.sum((value.reshape(-1) - targets.reshape(-1)) ** 2))

    def finish(self) -> tuple[TaskMetric, ...]:
        """Lower is better; compared by its relative change."""
        if self._used != len(self._targets):
            raise InputError(f"{len(self._targets)} labels for {self._used} samples of output {self.output!r}")
        ours, theirs = (total / self._elements for total in self._sums)
        return (TaskMetric("mse", ours, theirs, self._used, higher_is_better=False, is_share=False),)
