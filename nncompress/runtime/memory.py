"""Whether two models fit into the free memory at the same time."""

from __future__ import annotations

from pathlib import Path

_COPIES_HELD = 2.5  # of the constants in a session, as loaded and as packed for the kernels: 1.4 to 3.1 measured
_COPIES_LOADING = 1  # more while a session is opened


def fit_together(constants_bytes: int, sessions: int, free_bytes: int | None) -> bool:
    """Whether `sessions` models of `constants_bytes` (constants once decoded) each fit; unknown free memory: yes."""
    needed = constants_bytes * (_COPIES_HELD * sessions + _COPIES_LOADING)
    return free_bytes is None or needed <= free_bytes


def free_memory_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*free, *_cgroup_free()], default=None)


def _cgroup_free() -> list[int]:
    """What the container (cgroup v2) still allows."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (folder / "memory.max").read_text(), (folder / "memory.current").read_text()
    except OSError:
        return []
    return [max(int(limit) - int(used), 0)] if limit.strip().isdecimal() else []


def model_bytes(path: Path) -> int:
    """Bytes of a model file and of the data files beside it that are named after it; 0 where it cannot be read."""
    try:
        beside = [file for file in path.parent.iterdir() if file.name.startswith(path.name) and file.is_file()]
        return sum(file.stat().st_size for file in beside)
    except OSError:
        return 0
