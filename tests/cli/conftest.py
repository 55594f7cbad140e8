"""A small model to compress, and an environment that switches nothing on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import dense_model

SWITCHES = {"NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "COLUMNS", "TERMINAL_WIDTH"}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name in SWITCHES or name.startswith("NNCOMPRESS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of three layers, alone in a folder of its own."""
    folder = tmp_path / "given"
    folder.mkdir()
    return dense_model(folder / "model.onnx", [("fc1", 64, 96), ("fc2", 96, 96), ("fc3", 96, 32)])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where to write to: a path in an empty folder."""
    folder = tmp_path / "made"
    folder.mkdir()
    return folder / "small.onnx"
