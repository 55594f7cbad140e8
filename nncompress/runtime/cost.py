"""What one session costs in a process of its own: time to load, peak memory, and energy where it can be read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nncompress.feeds.specs import Feed
from nncompress.results.record import Loaded, Timing
from nncompress.runtime.session import Announce, guarded, open_session, silent
from nncompress.runtime.timing import in_rotation

RAPL = Path("/sys/class/powercap/intel-rapl:0")  # the first processor package; AMD has it too
_ENERGY_S = 0.5  # spent on measuring energy: its counter ticks about every millisecond


def measure_loading(model: Path, feed: Feed, threads: int, announce: Announce = silent) -> Loaded:
    """Opens and runs a model. Has to be the first in its process, for the peak is that of the process."""
    announce("original", "load")
    before = _status_bytes("VmRSS")
    start = time.perf_counter()
    session = open_session(model, "original", threads=threads)
    load_ms = 1000 * (time.perf_counter() - start)
    announce("original", "run")
    session.run(feed)
    peak = _status_bytes("VmHWM")
    held = None if peak is None or before is None else max(0, peak - before)
    return Loaded(load_ms, held, energy_mj(session.binder(feed)))


def measure_in_turns(
    models: Sequence[Path], feeds: Sequence[Feed], threads: int, seconds: float, announce: Announce = silent
) -> list[Timing]:
    """Latency of all models, in turns."""
    announce("original", "load")
    sessions = [open_session(model, "original", threads=threads) for model in models]
    inferences = [session.binder(feed) for session, feed in zip(sessions, feeds, strict=True)]
    announce("original", "time")
    return guarded(lambda: in_rotation(inferences, seconds), "time", models[0], "original")


def energy_mj(call: Callable[[], object], rapl: Path = RAPL) -> float | None:
    """Energy of one call by the running average power counter of the package; None where it cannot be read."""
    before = _counter(rapl / "energy_uj")
    if before is None:
        return None
    calls, end = 0, time.perf_counter() + _ENERGY_S
    while time.perf_counter() < end:
        call()
        calls += 1
    after, span = _counter(rapl / "energy_uj"), _counter(rapl / "max_energy_range_uj")
    if after is None or (after < before and span is None):
        return None
    used = after - before if after >= before else after - before + (span or 0)  # it wraps around
    return used / 1000 / calls


def _counter(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _status_bytes(key: str) -> int | None:
    """A figure of this process in /proc/self/status; None on other systems than Linux."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
