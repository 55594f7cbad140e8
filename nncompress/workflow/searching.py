"""How a search for the best model is done, and what it needs for that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from nncompress.errors import UsageError
from nncompress.onnx_file.facts import file_bytes
from nncompress.results.limits import Limits
from nncompress.results.spent import bounds_loss
from nncompress.runtime.jobs import ALONE, Jobs
from nncompress.workflow.kept_search import KeptSearch
from nncompress.workflow.trials import Trials


@dataclass(frozen=True)
class Searching:
    """How a search is done."""

    seconds: float = math.inf
    seconds_again: float = math.inf
    """where other limits were searched within before, and there is little to find out"""
    kept: KeptSearch = field(default_factory=KeptSearch)
    interrupts: Callable[[], Callable[[], bool]] = lambda: lambda: False
    """from where it is called on, the first interrupt asks the search to end with the best so far: what it returns
    tells whether that came"""
    jobs: Jobs = ALONE
    """that measure weights"""


def check_searchable(trials: Trials, limits: Limits) -> None:
    """Raises UsageError where nothing says what may be lost, or nothing can be measured."""
    check_measurable(trials)
    if not bounds_loss(limits) and most_bytes(trials, limits) is None:
        raise UsageError('auto needs a limit to keep, such as --max-drop "0.5 %", --min-sqnr 30 or --max-size "2 MB"')


def check_measurable(trials: Trials) -> None:
    """Raises UsageError where it cannot be measured what is lost."""
    if trials.proved.session is None or trials.proved.feeds is None or trials.samples is None:
        raise UsageError("auto runs models to choose: leave out --no-validate")
    if trials.proved.feeds.synthetic:
        raise UsageError("auto needs --data: samples on which it is measured what is lost")
    if trials.samples.synthetic:
        raise UsageError("auto needs real samples to calibrate on, not made-up ones: name them with --calibration")


def most_bytes(trials: Trials, limits: Limits) -> int | None:
    """What a file may have at most; None: no limit says."""
    bounds = [] if limits.max_size is None else [limits.max_size]
    if limits.min_ratio is not None:
        bounds.append(math.floor(file_bytes(trials.proved.model) / limits.min_ratio))
    return min(bounds, default=None)
