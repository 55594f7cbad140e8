"""Chooses what is multiplied in integers, and in how few bits every weight is stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from nncompress.passes.base import Pass, Stage
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.results.limits import Limits
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.fastest import fastest_within
from nncompress.workflow.searching import Searching
from nncompress.workflow.smallest import choose_smallest
from nncompress.workflow.trials import Trials

_FOR_SPEED = 0.5**0.5  # of the error that is allowed: half of its square


def choose_both(passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching) -> Chosen:
    """`passes`: those of fastest_within. What is faster in integers comes first; of what may be lost, what that leaves
    is spent on fewer bits. Raises UsageError where nothing says what may be lost, or there are no data."""
    started = time.monotonic()
    fastest = fastest_within(passes, trials, limits, searching, _FOR_SPEED)
    in_integers = any(isinstance(step, QuantizeActivations) for step in fastest.passes)
    steps = tuple(
        step for step in fastest.passes
        if in_integers or step.stage != Stage.CORRECTIONS  # of codes by products, that leave little to correct
    )  # fmt: skip
    left = searching.seconds - (time.monotonic() - started)
    smallest = choose_smallest(steps, trials, limits, replace(searching, seconds=left))
    return replace(
        smallest, notes=(*fastest.notes, *smallest.notes), reasons={**fastest.reasons, **smallest.reasons}
    )  # fmt: skip
