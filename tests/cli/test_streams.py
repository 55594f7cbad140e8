"""stdout and stderr that are full, closed, without a reader, or of an encoding that lacks what is printed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import MLP, Ended, command_line, last_line, nncompress, one_line, plain_environment

COMPARE = ["compare", MLP, MLP, "--seconds", 0]
FAILING = [*COMPARE, "-q", "--max-size", "1 kB"]
FULL = "cannot write to stdout: no space left on device"
CLOSED = "cannot write to stdout: bad file descriptor"


def shell(command: str, *arguments: object, **variables: str) -> Ended:
    """How `command` ends, in which nncompress stands for the command line with these arguments."""
    ended = subprocess.run(
        ["bash", "-c", command.replace("nncompress", shlex.join(command_line(*arguments)))],
        env={**plain_environment(), **variables},
        capture_output=True,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["quantize", "--help"], ["passes"]], ids=str)
def test_results_that_cannot_be_written_are_an_error(arguments: list[object], redirection: str) -> None:
    ended = shell(f"nncompress {redirection}", *arguments)
    assert ended.exit_code == 4
    assert one_line(ended.stderr) == f"nncompress: error: {FULL if 'full' in redirection else CLOSED}"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["doctor"], COMPARE, FAILING, [*COMPARE, "--html", "-"]], ids=str)
def test_a_report_that_cannot_be_written_is_an_error(arguments: list[object]) -> None:
    ended = shell("nncompress >/dev/full", *arguments)
    assert (ended.exit_code, last_line(ended.stderr)) == (4, f"nncompress: error: {FULL}")
    assert ended.stderr.count("error:") == 1


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(exec 0<&-)", "0<&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["quantize", "nope.onnx", "-o", "x.onnx"], 3), (["quantize", "--nope"], 2), ([], 2)],
    ids=str,
)
@pytest.mark.slow
def test_messages_that_cannot_be_written_change_no_exit_code(
    arguments: list[object], code: int, redirection: str
) -> None:
    assert shell(f"nncompress {redirection}", *arguments) == Ended(code, "", "")


@pytest.mark.slow
def test_a_gate_fails_whoever_reads() -> None:
    assert shell("nncompress | true; exit ${PIPESTATUS[0]}", *FAILING).exit_code == 1
    assert shell("nncompress 2>/dev/full | true; exit ${PIPESTATUS[0]}", *FAILING).exit_code == 1
    assert shell("nncompress 2>/dev/full", *FAILING).exit_code == 1


def test_a_reader_of_help_may_go() -> None:
    assert shell("nncompress | true; exit ${PIPESTATUS[0]}", "quantize", "--help") == Ended(0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(exec 0<&-)"])
def test_a_sweep_goes_on_without_a_reader_of_its_messages(redirection: str, tmp_path: Path) -> None:
    recipe = tmp_path / "int8.toml"
    recipe.write_text('seconds = 0\n[[steps]]\npass = "quantize-weights"\n')
    ended = shell(f"nncompress {redirection}", "sweep", MLP, "--recipe", recipe, "-o", tmp_path / "made")
    assert ended.exit_code == 0
    assert last_line(ended.stdout).startswith("PASS  1 result")
    assert (tmp_path / "made" / "digits_mlp--int8.onnx").is_file()


@pytest.mark.slow
def test_a_closed_stream_takes_no_part_in_a_file(tmp_path: Path) -> None:
    """Libraries write to file number 2 whatever it is."""
    out, report = tmp_path / "o.onnx", tmp_path / "o.json"
    ended = shell("nncompress 0<&- 2>&-", "quantize", MLP, "-o", out, "--json", report, "--seconds", 0, "-q")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert one_line(ended.stdout).startswith("PASS")
    assert json.loads(report.read_text())["comparison"]["candidate"]["file_bytes"] == out.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=str,
)
def test_characters_that_the_encoding_lacks_are_spelled_out(variables: dict[str, str]) -> None:
    ended = shell("nncompress", *COMPARE, "-v", **variables)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert r"median \xb1 IQR" in ended.stdout
    missing = shell("nncompress", "inspect", "größe.onnx", **variables)
    assert missing.exit_code == 3
    assert one_line(missing.stderr).isascii()


def full_pipe() -> tuple[int, int]:
    """One that takes nothing more and says so instead of waiting."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    return reader, writer


def test_results_wait_for_a_pipe_that_does_not_wait() -> None:
    reader, writer = full_pipe()
    started = subprocess.Popen(command_line("passes"), stdout=writer, stderr=subprocess.PIPE, env=plain_environment())
    os.close(writer)
    time.sleep(0.5)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().lstrip(b".")
    assert started.communicate(timeout=60)[1] == b""
    assert (started.returncode, text.decode()) == (0, nncompress("passes").stdout)


def test_messages_do_not_wait_for_it_and_change_no_exit_code() -> None:
    reader, writer = full_pipe()
    ended = subprocess.run(command_line("inspect", "nope.onnx"), stderr=writer, env=plain_environment(), check=False)
    assert ended.returncode == 3
    os.close(reader)
    os.close(writer)
