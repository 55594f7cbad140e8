"""Calls in a process of their own: limited in memory, and in this process where a debugger asks for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress.child_process import Call, ChildLacksMemory, ChildTimedOut, call_in_process
from tests.support import MLP, files_in, nncompress_process


def fill(count: int, announce: object) -> int:
    return int(np.ones(count, np.uint8).sum())


def speak(times: int, announce) -> str:  # type: ignore[no-untyped-def]
    import time

    for _ in range(times):
        time.sleep(1)
        announce("result", "run")
    return "done"


def quiet(role: str, what: str) -> None:
    """Listens to nothing."""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit means something else there")
def test_a_child_that_wants_more_memory_than_it_may_use_says_so() -> None:
    limit = 512 << 20
    assert call_in_process(Call(fill, (1 << 20,), memory_bytes=limit), quiet) == 1 << 20
    with pytest.raises(ChildLacksMemory):
        call_in_process(Call(fill, (limit,), memory_bytes=limit), quiet)


@pytest.mark.slow
def test_the_time_limit_is_that_between_two_signs_of_life() -> None:
    assert call_in_process(Call(speak, (6,)), quiet, timeout_s=5) == "done"
    with pytest.raises(ChildTimedOut):
        call_in_process(Call(speak, (1,)), quiet, timeout_s=0.2)


def test_in_process_starts_no_other(tmp_path: Path) -> None:
    """A Python that cannot start another one compresses and compares all the same."""
    (tmp_path / "sitecustomize.py").write_text(
        "import subprocess\n"
        "def refuse(*a, **k): raise RuntimeError('a process was started')\n"
        "subprocess.Popen = refuse\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parent.parent}"}
    given = ("quantize", MLP, "-o", tmp_path / "out.onnx", "--seconds", 0, "-q")
    assert nncompress_process(*given, env=env).exit_code == 5
    ended = nncompress_process("--in-process", *given, env=env)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "out.onnx" in files_in(tmp_path)
