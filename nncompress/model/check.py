"""Asks onnx.checker whether a file that we wrote is a valid model."""

from __future__ import annotations

from pathlib import Path

import onnx

from nncompress.errors import NoOutputError
from nncompress.model.model import Model


def check_result(path: Path, original: Model) -> None:
    """Raises NoOutputError if the checker refuses `path` though it had nothing against the original."""
    complaint = _complaint(path)
    if complaint and original.complaint is None:
        raise NoOutputError(f"the result would not be a valid model: {complaint}")


def _complaint(path: Path) -> str | None:
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split())[:300]
    return None
