"""Says what makes a latency doubtful: other programs that ran before it was measured, and how far it spreads."""

from __future__ import annotations

import os

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


def spread(of: str, timing: Timing) -> tuple[str, ...]:
    """A note if the latency of a model spreads widely."""
    share = timing.iqr_ms / timing.median_ms
    if share <= NOISY_SPREAD:
        return ()
    return (f"NOISE: latency of {of} spreads by {100 * share:.0f} % of its median: measure longer (--seconds)",)
