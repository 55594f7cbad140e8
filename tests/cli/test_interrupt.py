"""Interrupted or terminated in the middle: its exit code, one line at most, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import IMAGES, MLP, SAMPLES, files_in, nncompress, plain_environment

pytestmark = pytest.mark.slow

# A test run that was started in the background ignores SIGINT, one below nohup SIGHUP, and so would its children.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from nncompress.__main__ import main
main()
"""
INTERRUPTED = "nncompress: error: interrupted; nothing was left behind\n"


def started(folder: Path, name: str, *arguments: object) -> subprocess.Popen[str]:
    """A command that has made a file whose path ends so, by now."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(file.endswith(name) for file in files_in(folder)):
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline, "it wrote nothing in a minute"
        time.sleep(0.02)
    return process


def started_and_at_work(out: Path) -> subprocess.Popen[str]:
    """A compression that has written its hidden file and times the models for a minute."""
    process = started(out.parent, "/small.onnx", "quantize", MLP, "-o", out, "--seconds", 60)
    time.sleep(0.3)  # into the validation
    return process


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, INTERRUPTED),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
    ],
)
def test_a_signal_leaves_nothing_behind(number: signal.Signals, code: int, said: str, out: Path) -> None:
    process = started_and_at_work(out)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (code, "", said)
    assert files_in(out.parent) == set()


@pytest.mark.parametrize("pause_s", [0.002, 0.03, 0.1])
def test_a_second_interrupt_does_not_stop_the_tidying(pause_s: float, out: Path) -> None:
    process = started_and_at_work(out)
    process.send_signal(signal.SIGINT)
    time.sleep(pause_s)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (130, "", INTERRUPTED)
    assert files_in(out.parent) == set()


def test_an_interrupt_at_any_moment_is_one_line_at_most(out: Path) -> None:
    for step in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", f"print(flush=True)\n{PROGRAM}", "quantize", MLP, "-o", out, "--seconds", "60"],
            env=plain_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.1 * step)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert (process.returncode, stderr) in [(130, INTERRUPTED), (-signal.SIGINT, "")]  # at work; while it loads
        assert files_in(out.parent) == set()


def test_below_nohup_the_end_of_the_terminal_changes_nothing(out: Path) -> None:
    program = PROGRAM.replace("SIG_DFL", "SIG_IGN")
    process = subprocess.Popen(
        [sys.executable, "-c", program, "quantize", MLP, "-o", out, "--seconds", "2", "-q"], env=plain_environment()
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_python_could_not_raise_is_raised_again(number: signal.Signals) -> None:
    """As where it comes during the callback of a weak reference."""
    program = f"""
import signal, time, weakref
signal.signal(signal.SIGINT, signal.default_int_handler)
from nncompress.cli import interrupts
class Thing: pass
interrupts.take_over()
interrupts.begin_work()
thing = Thing()
held = weakref.ref(thing, lambda gone: signal.raise_signal({int(number)}))
try:
    del thing
    time.sleep(10)
except (KeyboardInterrupt, SystemExit) as error:
    print(type(error).__name__, error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=plain_environment(), capture_output=True, text=True, check=False
    )
    raised = "KeyboardInterrupt \n" if number == signal.SIGINT else "SystemExit 143\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, raised, "")


def test_what_a_killed_run_left_is_removed_by_the_next(out: Path) -> None:
    process = started_and_at_work(out)
    process.kill()
    process.communicate(timeout=30)
    assert any(name.startswith(".small.onnx.nncompress-") for name in files_in(out.parent))
    assert nncompress("quantize", MLP, "-o", out, "--no-validate").exit_code == 0
    assert files_in(out.parent) == {"small.onnx"}


SEARCH = ("--data", IMAGES, "--calibration", SAMPLES / "data/image_calibration.npz", "--seconds", 0)


@pytest.mark.parametrize("aim", ["size", "speed"])
def test_the_first_interrupt_ends_a_search_with_the_best_so_far(aim: str, out: Path) -> None:
    kept = out.with_name("s.search")
    options = ("--for", aim, "--min-sqnr", 20, "--resume", kept)
    process = started(out.parent, "s.search", "auto", MLP, "-o", out, *SEARCH, *options)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, 1), stderr  # none may hold by then
    assert "ends with the best so far" in stderr
    assert out.exists() == (process.returncode == 0)


def test_a_front_that_is_interrupted_twice_leaves_nothing_behind(out: Path) -> None:
    folder = out.parent / "front"
    process = started(out.parent, "front/digits_mlp-01.toml", "auto", MLP, "--front", folder, *SEARCH)
    for pause_s in (0.2, 0.05):  # the next model is being made
        time.sleep(pause_s)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.endswith(INTERRUPTED)
    assert not folder.exists()
