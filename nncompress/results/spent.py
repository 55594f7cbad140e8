"""How much of what a result may lose it loses: what a search within limits goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nncompress.results.limits import Limits
from nncompress.results.record import Run
from nncompress.results.rules.on_fidelity import FAIL_COSINE
from nncompress.results.worst import (
    Worst,
    answers_changed,
    counting,
    largest_drop,
    sqnr_db,
    worst_cosine,
    worst_sample_cosine,
    worst_sample_sqnr_db,
    worst_sqnr_db,
)

UNLABELLED_ERROR = 0.05
"""Relative error of outputs that is allowed where a drop is limited, and nothing says which answers are right ..."""
LARGEST_ERROR = 10 ** (-10 / 20)
"""... unless as few answers change as the task metric may drop: then up to this, 10 dB. It bounds what metrics allow,
too: of outputs that are farther from the original's, no metric on some samples says what others will come to."""


ROUNDING = 1e-9  # of drops: 0.975 - 0.965 is a little more than 0.01 in floating point

_NEXT_STEP = 2.0  # the same weights err in the same way: what a step adds comes on top of what it began with


@dataclass(frozen=True)
class Losses:
    """How far a result is from the original."""

    error: float  # relative, of the worst output; NaN where none has one, as integers and texts have none
    carried: float  # the same with states at the end of their next step
    cosine: float  # of the worst output
    sample_error: float  # of the worst sample of any output
    sample_cosine: float
    drop: float | None  # of the task metric that lost most; None: there is none
    changed: float | None  # see changed_at_most
    broken: bool  # an output is no longer what it was

    @classmethod
    def of(cls, run: Run) -> Losses:
        """Those of a run."""
        metric = largest_drop(run.metrics)
        return cls(
            _error(worst_sqnr_db(run)), _carried(run), _cosine(worst_cosine(run)),
            _error(worst_sample_sqnr_db(run)), _cosine(worst_sample_cosine(run)),
            None if metric is None else metric.drop, changed_at_most(run),
            any(output.problem for output in run.outputs),
        )  # fmt: skip

    def spent(self, limits: Limits) -> float:
        """The largest share of a limit on the loss that is used: all hold where it is at most 1."""
        least_cosine = FAIL_COSINE if limits.min_cosine is None else limits.min_cosine
        shares = [math.inf if self.broken else 0.0, _quotient(1 - self.cosine, 1 - least_cosine)]
        for least, error in ((limits.min_sqnr, self.error), (limits.min_sample_sqnr, self.sample_error)):
            if least is not None:
                shares.append(error / 10 ** (-least / 20))
        if limits.min_sample_cosine is not None:
            shares.append(_quotient(1 - self.sample_cosine, 1 - limits.min_sample_cosine))
        if limits.max_drop is not None:
            shares.append(self.of_drop(limits.max_drop))
        return max(math.inf if math.isnan(share) else share for share in shares)

    def of_drop(self, most: float) -> float:
        """The share that is used of a drop; without a task metric, of what stands for it (see above)."""
        bound = 0.0 if math.isnan(self.carried) else self.carried / LARGEST_ERROR
        if self.drop is not None:
            return max(_quotient(self.drop - ROUNDING, most), bound)
        by_error = math.inf if math.isnan(self.carried) else self.carried / UNLABELLED_ERROR
        if self.changed is None:
            return by_error
        return min(by_error, max(_quotient(self.changed - ROUNDING, most), bound))


def changed_at_most(run: Run) -> float | None:
    """The share of answers that are other ones, with one more of two more that are: few answers prove little. None
    where no output gives answers."""
    changed = filter(None, map(answers_changed, run.outputs))
    return max(((share * count + 1) / (count + 2) for share, count in changed), default=None)


def bounds_loss(limits: Limits) -> bool:
    """True where a limit says what may be lost."""
    bounds = (limits.max_drop, limits.min_sqnr, limits.min_cosine, limits.min_sample_sqnr, limits.min_sample_cosine)
    return any(bound is not None for bound in bounds)


def _error(sqnr: Worst | None) -> float:
    return math.nan if sqnr is None else _error_of_db(sqnr.value)


def _error_of_db(sqnr_db: float) -> float:
    return float(10 ** (-sqnr_db / 20))


def _carried(run: Run) -> float:
    """The error of the worst output, that of a state at the end of its next step."""
    figures = ((sqnr_db(output), output.state_of is not None) for output in counting(run))
    errors = [_error_of_db(figure) * (_NEXT_STEP if state else 1.0) for figure, state in figures if figure is not None]
    return max([_error(worst_sqnr_db(run)), *errors])


def _cosine(worst: Worst | None) -> float:
    return 1.0 if worst is None else worst.value


def _quotient(used: float, most: float) -> float:
    if used <= 0:
        return 0.0
    return used / most if most > 0 else math.inf
