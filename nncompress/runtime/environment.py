"""What a report says about where its figures come from: versions, processor, integer instructions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nncompress.results.record import Environment

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")


def environment() -> Environment:
    """Versions without importing the packages; processor facts where the system tells."""
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
    )


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
