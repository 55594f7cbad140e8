"""On a terminal the last line says what a command is at; pipes and files get nothing of it."""

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from nncompress.progress import Stage, at, counted, listening
from nncompress.runtime.child import stage_words
from tests.support import MLP, SAMPLES, command_line, nncompress_process, plain_environment

CALIBRATED = ("quantize", MLP, "--calibration", SAMPLES / "data/image_calibration.npz", "--seconds", "0.4", "-q")


@pytest.mark.parametrize(
    ("part", "what", "expected"),
    [
        ("original", "load", "loading the original"),
        ("result", "time", "timing the result"),
        ("original", "calibrating block 3 of 17 of", "calibrating block 3 of 17 of the original"),
    ],
)
def test_stages_of_the_child_are_said_in_words(part: str, what: str, expected: str) -> None:
    assert stage_words(part, what) == expected


def test_what_is_counted_is_said_before_each_is_worked_on() -> None:
    heard: list[Stage] = []
    with listening(heard.append):
        for _ in counted("checking models", "ab", 2):
            at("running")
    at("running where nobody listens")
    assert heard == [
        Stage("checking models", 0, 2), Stage("running"), Stage("checking models", 1, 2), Stage("running")
    ]  # fmt: skip


@pytest.mark.slow
def test_a_terminal_shows_stages_and_no_trace_is_left_of_them(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command_line(*CALIBRATED, "-o", tmp_path / "out.onnx"),
        env={**plain_environment(), "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE, stderr=follower, text=True,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
    os.close(leader)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stdout.startswith("PASS")
    plain = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown).decode()
    assert re.search(r"calibrating block \d+ of 3", plain)
    stages = ["starting quantize", "calibrating block", "timing the result"]
    places = [plain.index(stage) for stage in stages]
    assert places == sorted(places)
    assert shown.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h"))  # the line is erased, the cursor is back


@pytest.mark.slow
def test_a_pipe_gets_nothing_of_it(tmp_path: Path) -> None:
    ended = nncompress_process(*CALIBRATED, "-o", tmp_path / "out.onnx")
    assert (ended.exit_code, ended.stderr) == (0, "")
