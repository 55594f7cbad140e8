"""How much of what a result may lose it loses: what a search within limits goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nncompress.results.limits import Limits
from nncompress.results.record import Run
from nncompress.results.rules.on_fidelity import FAIL_COSINE
from nncompress.results.worst import answers_changed, largest_drop, worst_cosine, worst_sqnr_db

UNLABELLED_ERROR = 0.05
"""Relative error of outputs that is allowed where a drop is limited, and nothing says which answers are right ..."""
LARGEST_ERROR = 10 ** (-10 / 20)
"""... unless as few answers change as the task metric may drop: then up to this, 10 dB. It bounds what metrics allow,
too: of outputs that are farther from the original's, no metric on some samples says what others will come to."""


@dataclass(frozen=True)
class Losses:
    """How far a result is from the original."""

    error: float  # relative, of the worst output
    cosine: float  # of the worst output
    drop: float | None  # of the task metric that lost most; None: there is none
    changed: float | None  # see changed_at_most
    broken: bool  # an output is no longer what it was

    @classmethod
    def of(cls, run: Run) -> Losses:
        """Those of a run."""
        cosine, sqnr, metric = worst_cosine(run), worst_sqnr_db(run), largest_drop(run.metrics)
        return cls(
            0.0 if sqnr is None else 10 ** (-sqnr.value / 20), 1.0 if cosine is None else cosine.value,
            None if metric is None else metric.drop, changed_at_most(run),
            any(output.problem for output in run.outputs),
        )  # fmt: skip

    def spent(self, limits: Limits) -> float:
        """The largest share of a limit on the loss that is used: all hold where it is at most 1."""
        least_cosine = FAIL_COSINE if limits.min_cosine is None else limits.min_cosine
        shares = [math.inf if self.broken else 0.0, _quotient(1 - self.cosine, 1 - least_cosine)]
        if limits.min_sqnr is not None:
            shares.append(self.error / 10 ** (-limits.min_sqnr / 20))
        if limits.max_drop is not None:
            shares.append(self.of_drop(limits.max_drop))
        return max(math.inf if math.isnan(share) else share for share in shares)

    def of_drop(self, most: float) -> float:
        """The share that is used of a drop; without a task metric, of what stands for it (see above)."""
        if self.drop is not None:
            return max(_quotient(max(self.drop, 0.0), most), self.error / LARGEST_ERROR)
        by_error = self.error / UNLABELLED_ERROR
        if self.changed is None:
            return by_error
        return min(by_error, max(_quotient(self.changed, most), self.error / LARGEST_ERROR))


def changed_at_most(run: Run) -> float | None:
    """The share of answers that are other ones, with one more of two more that are: few answers prove little. None
    where no output gives answers."""
    changed = filter(None, map(answers_changed, run.outputs))
    return max(((share * count + 1) / (count + 2) for share, count in changed), default=None)


def _quotient(used: float, most: float) -> float:
    return used / most if most > 0 else (math.inf if used > 0 else 0.0)
