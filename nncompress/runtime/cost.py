"""What one session costs: time to load, peak memory, and energy where it can be read."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import onnxruntime as ort

from nncompress.feeds.specs import Feed
from nncompress.progress import Announce, silent
from nncompress.results.record import Loaded, Timing
from nncompress.runtime.session import Session, guarded, open_session
from nncompress.runtime.timing import in_rotation

RAPL = Path("/sys/class/powercap/intel-rapl:0")  # the first processor package; AMD has it too
_ENERGY_S = 0.5  # spent on measuring energy: its counter ticks about every millisecond
_PROCESS = Path("/proc/self")
_FORGET_PEAK = "5"
_SCHEDULED = Path("/proc/thread-self/schedstat")  # nanoseconds on a processor, nanoseconds waiting for one, turns
_IDENTITY = (  # of one float, IR 7, opset 13
    b'\x08\x07:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01g'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x02\x10\r"
)


class Metered:
    """A session that is opened now, and what it costs to open it and to run it once.

    The time is that of this thread without what it waited for a processor that others used, where the system says it.
    The peak is that of this process above what it held before, so nothing else may be opened meanwhile.
    """

    def __init__(self, opening: Callable[[], Session]) -> None:
        _load_library()
        _give_back_memory()
        with suppress(OSError):  # not Linux, or not allowed: see `ran`
            (_PROCESS / "clear_refs").write_text(_FORGET_PEAK, encoding="ascii")
        self._held, self._earlier_peak = _status_bytes("VmRSS"), _status_bytes("VmHWM")
        start = time.perf_counter() - _waited_s()
        self.session = opening()
        waited = _waited_s()  # before the clock is read, as after it above: what lies between counts as work, not twice
        self._load_ms = 1000 * (time.perf_counter() - waited - start)
        self._cost: Loaded | None = None

    def ran(self) -> Loaded:
        """What it has cost, called when it has run for the first time; later calls say the same.

        The peak is None where the system does not say it, or says only that it was higher before.
        """
        if self._cost is None:
            peak = _status_bytes("VmHWM")
            known = self._held is not None and peak is not None and peak != self._earlier_peak
            self._cost = Loaded(self._load_ms, max(0, (peak or 0) - (self._held or 0)) if known else None)
        return self._cost


def measure_loading(model: Path, feed: Feed, threads: int, announce: Announce = silent) -> Loaded:
    """Opens and runs a model."""
    announce("original", "load")
    metered = Metered(lambda: open_session(model, "original", threads=threads))
    announce("original", "run")
    metered.session.run(feed)
    cost = metered.ran()
    return Loaded(cost.load_ms, cost.peak_bytes, energy_mj(metered.session.binder(feed)))


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


@functools.cache
def _load_library() -> None:
    """The first session of a process also pays for what onnxruntime prepares once: 10 MB and 10 ms."""
    ort.InferenceSession(_IDENTITY, providers=["CPUExecutionProvider"])


def _give_back_memory() -> None:
    """Returns what was freed to the system, where the C library can: else a session would be opened in it unseen."""
    with suppress(AttributeError, OSError, TypeError):  # another C library; no handle of the process (Windows)
        ctypes.CDLL(None).malloc_trim(0)


def _waited_s() -> float:
    """How long this thread has been ready to run while others ran; 0 where the system does not say."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _status_bytes(key: str) -> int | None:
    """A figure of this process; None on other systems than Linux."""
    try:
        lines = (_PROCESS / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
