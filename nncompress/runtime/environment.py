"""What a report says about where and when its figures come from: versions, processor, integer instructions, time."""

from __future__ import annotations

import functools
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nncompress.errors import UsageError
from nncompress.results.record import Environment

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")
_EPOCH = "SOURCE_DATE_EPOCH"  # https://reproducible-builds.org/specs/source-date-epoch/


def environment() -> Environment:
    """Versions without importing the packages; processor facts where the system tells; the time of this call.

    Raises UsageError where SOURCE_DATE_EPOCH, which stands for that time, is no time.
    """
    cpu, flags = _cpu()
    return Environment(
        nncompress=_version("nncompress"),
        python=platform.python_version(),
        onnx=_version("onnx"),
        onnxruntime=_version("onnxruntime"),
        onnx_ir=_version("onnx-ir"),
        numpy=_version("numpy"),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=cpu,
        cpu_flags=tuple(flag for flag in _FLAGS if flag in flags),
        cores=os.cpu_count() or 1,
        made_at=_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


@functools.cache
def adds_in_16_bits() -> bool:
    """True for an x86 processor without VNNI, on which sums of two products of 8-bit integers saturate."""
    _, flags = _cpu()
    return "avx2" in flags and not flags & {"avx512_vnni", "avx_vnni"}


def _now() -> datetime:
    seconds = os.environ.get(_EPOCH)
    if not seconds:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{_EPOCH}={seconds!r} is no number of seconds since 1970, such as 1700000000") from error


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> tuple[str, set[str]]:
    """Name and flags of the first processor; Linux only, elsewhere the platform's name and no flags."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown", set()
    facts: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts.get("model name", "unknown"), set((facts.get("flags") or facts.get("Features") or "").split())
