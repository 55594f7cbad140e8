"""Calls in a process of their own: limited in memory, and in this process where a debugger asks for it."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import NoOutputError, need_not_repeat
from nncompress.runtime.child_process import Call, ChildLacksMemory, ChildTimedOut, call_in_process, stop_children
from tests.support import MLP, command_line, files_in, nncompress_process, one_line, plain_environment


def fill(count: int, announce: object) -> int:
    return int(np.ones(count, np.uint8).sum())


def speak(times: int, announce) -> str:  # type: ignore[no-untyped-def]
    for _ in range(times):
        time.sleep(1)
        announce("result", "run")
    return "done"


def fail(text: str, announce: object) -> None:
    raise NoOutputError(text) from (OSError(28, "No space left on device") if text == "disk" else None)


def quiet(part: str, what: str, done: float, total: float | None) -> None:
    """Listens to nothing."""


@pytest.mark.parametrize("text", ["disk", "model"])
def test_a_deliberate_error_is_raised_again_and_whether_the_machine_is_its_cause(text: str) -> None:
    with pytest.raises(NoOutputError, match=text) as caught:
        call_in_process(Call(fail, (text,)), quiet)
    assert need_not_repeat(caught.value) == (text == "disk")


def open_many(count: int, announce: object) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    kept = [open(os.devnull) for _ in range(count)]  # noqa: PTH123, SIM115
    raise AssertionError(len(kept))


def tidy_up(path: Path, announce) -> None:  # type: ignore[no-untyped-def]
    try:
        announce("result", "run")
        time.sleep(30)
    finally:
        time.sleep(0.5)
        path.write_text("tidied up")


def end_twice(part: str, what: str, done: float, total: float | None) -> None:
    """As an interrupted sweep does: it asks all children to end, and then each once more."""
    stop_children()
    time.sleep(0.1)
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_second_request_to_end_does_not_stop_the_tidying(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        call_in_process(Call(tidy_up, (tmp_path / "note",), tidy_s=5.0), end_twice)
    assert (tmp_path / "note").read_text() == "tidied up"


def test_a_child_that_may_open_too_few_files_says_so() -> None:
    with pytest.raises(NoOutputError, match=r"^too many open files: the limit is too low \(ulimit -n\)$"):
        call_in_process(Call(open_many, (20,)), quiet)


@pytest.mark.slow
def test_a_command_that_may_open_too_few_files_says_so(tmp_path: Path) -> None:
    command = shlex.join(command_line("quantize", MLP, "-o", tmp_path / "out.onnx", "-q"))
    ended = subprocess.run(
        ["bash", "-c", f"ulimit -n 10; {command}"], env=plain_environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (4, "")
    assert one_line(ended.stderr) == "nncompress: error: too many open files: the limit is too low (ulimit -n)"
    assert files_in(tmp_path) == set()


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


@pytest.mark.slow
def test_in_process_starts_no_other(tmp_path: Path) -> None:
    """A Python that cannot start another one compresses and compares all the same."""
    (tmp_path / "sitecustomize.py").write_text(
        "import subprocess\n"
        "def refuse(*a, **k): raise RuntimeError('a process was started')\n"
        "subprocess.Popen = refuse\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    given = ("quantize", MLP, "-o", tmp_path / "out.onnx", "--seconds", 0, "-q")
    assert nncompress_process(*given, env=env).exit_code == 5
    ended = nncompress_process("--in-process", *given, env=env)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "out.onnx" in files_in(tmp_path)
