"""Chooses what is multiplied in integers, as fast as the limits on the loss allow on data that the choice has not seen.

What mixed.py chooses on calibration data is run on one half of the data; where that loses more than it may, the choice
is made again with outputs that have to be closer. On the other half the result has to prove itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from nncompress.feeds.split import halves
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.results.limits import Limits
from nncompress.results.spent import Losses
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.mixed import choose
from nncompress.workflow.searching import Searching, check_searchable
from nncompress.workflow.trials import Trials

_CLOSER_DB = (30.0, 36.0)


def choose_fastest(passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching) -> Chosen:
    """As `mixed.choose` does; where no choice keeps the limits, weights alone are rounded. Raises UsageError where
    nothing says what may be lost, or there are no data."""
    check_searchable(trials, limits)
    proved = trials.proved
    assert proved.feeds is not None, "checked"
    searched, judged = halves(proved.feeds)
    quiet = replace(trials, proved=proved.on(searched, replace(proved.proof, seconds=0.0, exact=False)))
    started = time.monotonic()
    for least in (None, *_CLOSER_DB):
        within = limits if least is None else replace(limits, min_sqnr=max(least, limits.min_sqnr or 0.0))
        chosen = choose(passes, trials, within)
        run = quiet.run(quiet.compressed(chosen.passes).model)
        if Losses.of(run).spent(limits) <= 1:
            return replace(chosen, proof=judged)
        if time.monotonic() - started > searching.seconds:
            break
    plain = tuple(step for step in passes if not isinstance(step, QuantizeActivations))
    return Chosen(
        plain, notes=("in integers: nothing, for each choice that was made loses more than it may",), proof=judged
    )
