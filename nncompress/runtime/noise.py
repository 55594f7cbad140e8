"""Says what makes a latency doubtful: other programs that ran before it was measured, and how far it spreads."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nncompress.results.record import Timing

NOISY_SPREAD, BUSY_SHARE = 0.10, 0.5


def busy() -> tuple[str, ...]:
    """A note if other programs keep the processor busy: the load of the last minute, before anything is measured."""
    try:
        load_average = os.getloadavg()[0]
    except OSError:
        return ()
    cores = os.cpu_count() or 1
    if load_average <= BUSY_SHARE * cores:
        return ()
    return (
        f"NOISE: the load of this machine was {load_average:.1f} on {cores} cores before measuring: "
        "stop what else runs",
    )


def spread(timings: Mapping[str, Timing]) -> tuple[str, ...]:
    """A note if the latency of any of these models spreads widely."""
    shares = {of: timing.iqr_ms / timing.median_ms for of, timing in timings.items()}
    wide = {of: f"{100 * share:.0f} %" for of, share in shares.items() if share > NOISY_SPREAD}
    if not wide:
        return ()
    return (
        f"NOISE: latency of {' and '.join(wide)} spreads by {' and '.join(wide.values())} of its median: "
        "measure longer (--seconds)",
    )
