"""Chooses what is multiplied in integers, as fast as the limits on the loss allow on data that the choice has not seen.

The fastest that mixed.py finds on calibration data is run on one half of the data; where that loses more than it may,
the choice is made again with outputs that have to be closer. On the other half the result has to prove itself; where it
does not, the choice is made again as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from nncompress.feeds.split import halves
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.results.limits import Limits
from nncompress.results.spent import Losses
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.mixed import Mixing
from nncompress.workflow.searching import Searching, check_searchable
from nncompress.workflow.trials import Trials

_LEAST_DB, _CLOSER_DB, _MOST_CLOSER_DB = 10.0, 0.5, 12.0  # of the first choice; then a bit more than was too little
_MOST_CHOICES = 6


def choose_fastest(
    passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching, most: float = 1.0
) -> Chosen:
    """As `mixed.choose` does; where no choice keeps the limits, weights alone are rounded. `most`: the share of what
    may be lost that may be spent. Raises UsageError where nothing says what may be lost, or there are no data."""
    check_searchable(trials, limits)
    proved = trials.proved
    assert proved.feeds is not None, "checked"
    searched, judged = halves(proved.feeds)
    quiet = replace(proved.proof, seconds=0.0, exact=False)
    parts = [replace(trials, proved=proved.on(part, quiet)) for part in (searched, judged)]
    started, mixing = time.monotonic(), Mixing(passes, trials)
    least_db = limits.min_sqnr or _LEAST_DB
    for _ in range(_MOST_CHOICES):
        chosen = mixing.within(replace(limits, min_sqnr=least_db))
        made = trials.compressed(chosen.passes)
        for part in parts:
            spent = Losses.of(part.run(made.model)).spent(limits) / most
            if spent > 1:
                break
        else:
            return replace(chosen, proof=judged, made=made)
        in_integers = any(isinstance(step, QuantizeActivations) for step in chosen.passes)
        if not in_integers or time.monotonic() - started > searching.seconds:
            break
        closer_db = min(20 * math.log10(spent), _MOST_CLOSER_DB) + _CLOSER_DB
        least_db = closer_db + max(least_db, mixing.sqnr_db if math.isfinite(mixing.sqnr_db) else 0.0)
    plain = tuple(step for step in passes if not isinstance(step, QuantizeActivations))
    return Chosen(
        plain, notes=("in integers: nothing, for each choice that was made loses more than it may",), proof=judged
    )
