"""Interrupted or terminated in the middle: its exit code, one line at most, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import MLP, files_in, nncompress, plain_environment

pytestmark = pytest.mark.slow

# A test run that was started in the background ignores SIGINT, and so would its children.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from nncompress.__main__ import main
main()
"""


def started_and_at_work(out: Path) -> subprocess.Popen[str]:
    """A compression that has written its hidden file and times the models for a minute."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, ("quantize", MLP, "-o", out, "--seconds", 60))],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(name.endswith("/small.onnx") for name in files_in(out.parent)):
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline, "it wrote nothing in a minute"
        time.sleep(0.02)
    time.sleep(0.3)  # into the validation
    return process


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "nncompress: error: interrupted; nothing was left behind\n"),
        (signal.SIGTERM, 143, ""),
    ],
)
def test_a_signal_leaves_nothing_behind(number: signal.Signals, code: int, said: str, out: Path) -> None:
    process = started_and_at_work(out)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (code, "", said)
    assert files_in(out.parent) == set()


def test_what_a_killed_run_left_is_removed_by_the_next(out: Path) -> None:
    process = started_and_at_work(out)
    process.kill()
    process.communicate(timeout=30)
    assert any(name.startswith(".small.onnx.nncompress-") for name in files_in(out.parent))
    assert nncompress("quantize", MLP, "-o", out, "--no-validate").exit_code == 0
    assert files_in(out.parent) == {"small.onnx"}
