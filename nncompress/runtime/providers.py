"""Which execution providers onnxruntime has here."""

from __future__ import annotations

import os


def providers() -> list[str]:
    """Their names, in onnxruntime's order of preference."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return list(onnxruntime.get_available_providers())
