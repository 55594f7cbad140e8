"""What is printed where: results on stdout, plain when piped, and nothing that acts on a terminal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import (
    IMAGES,
    MLP,
    ROOT,
    command_line,
    dense_model,
    files_in,
    nncompress,
    nncompress_process,
    one_line,
    plain_environment,
)

HOSTILE = "\x1b[31mred\x1b[0m\n[bold]w[/bold]\x07\u202e"


def quantize(model: Path, out: Path, *options: object) -> list[object]:
    return ["quantize", model, "-o", out, "--seconds", 0, *options]


def test_quiet_prints_the_verdict_alone(model: Path, out: Path) -> None:
    ended = nncompress(*quantize(model, out, "-q"))
    assert one_line(ended.stdout).startswith("PASS  model.onnx -> small.onnx: ")
    assert ended.stderr == ""


def test_quiet_prints_a_failure_with_its_reason_on_stderr(model: Path, out: Path) -> None:
    ended = nncompress(*quantize(model, out, "-q", "--max-size", "1 kB"))
    assert one_line(ended.stdout).endswith("failed: max-size, not written")
    assert one_line(ended.stderr).startswith("nncompress: max-size failed: ")


def test_the_report_has_all_its_parts(out: Path) -> None:
    ended = nncompress("quantize", MLP, "-o", out, "--data", IMAGES, "--seconds", 0.1, "-v")
    titles = [line for line in ended.stdout.splitlines() if line and line[0].isupper()]
    titles = [title for title in titles if not title.startswith("NOISE")]  # the machine may be busy
    assert titles[:-1] == [
        "Checks", "Comparison", "Fidelity", "Worst sample", "Task metrics", "Ledger",
        f"Measured on 13 feeds from {IMAGES}, labelled.", "Sizes that were run: image 32×1×8×8.",
        "Environment",
    ]  # fmt: skip


@pytest.mark.slow
def test_verbose_lists_every_weight(tmp_path: Path, out: Path) -> None:
    names = [f"layer{number:02}" for number in range(30)]
    deep = dense_model(tmp_path / "deep.onnx", [(name, 32, 32) for name in names])
    short = nncompress(*quantize(deep, out, "--no-validate"))
    full = nncompress(*quantize(deep, out, "--no-validate", "--force", "-v"))
    assert sum(f"\n  {name} " in full.stdout for name in names) == 30
    assert sum(f"\n  {name} " in short.stdout for name in names) < 30


@pytest.mark.slow
@pytest.mark.parametrize("env", [{}, {"GITHUB_ACTIONS": "1"}, {"TERM": "xterm-256color"}, {"CI": "true"}])
@pytest.mark.parametrize("arguments", [["quantize", "--help"], ["quantize", "--nope"], ["compare", MLP, MLP]])
def test_piped_output_is_plain(arguments: list[object], env: dict[str, str]) -> None:
    extra = ["--seconds", 0] if arguments[0] == "compare" else []
    ended = nncompress_process(*arguments, *extra, env=env)
    assert ended.exit_code in {0, 2}
    assert ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr


@pytest.mark.slow
def test_piped_output_is_never_cut(tmp_path: Path, out: Path) -> None:
    name = "encoder/layer_0/" + "long_" * 40 + "weight"
    ended = nncompress_process(
        *quantize(dense_model(tmp_path / "m.onnx", [(name, 64, 64)]), out, "--no-validate"), env={"COLUMNS": "40"}
    )
    assert ended.exit_code == 0
    assert name in ended.stdout


@pytest.mark.parametrize("options", [[], ["-v"], ["--json", "-"], ["--markdown", "-"], ["--html", "-"], ["-q"]])
def test_a_hostile_weight_name_is_printed_escaped(options: list[str], tmp_path: Path, out: Path) -> None:
    hostile = dense_model(tmp_path / "m.onnx", [(HOSTILE, 64, 64)])
    ended = nncompress(*quantize(hostile, out, "--no-validate", *options))
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert not set(ended.stdout) & {"\x1b", "\x07", "\u202e"}
    if options in ([], ["-v"]):
        assert r"\x1b[31mred\x1b[0m\n[bold]w[/bold]\x07\u202e" in ended.stdout


def test_a_hostile_name_in_an_error_is_printed_escaped(tmp_path: Path, out: Path) -> None:
    hostile = dense_model(tmp_path / "m.onnx", [(HOSTILE, 64, 64)])
    ended = nncompress(*quantize(hostile, out, "--include", f"{HOSTILE}x"))
    assert ended.exit_code == 2
    assert not set(one_line(ended.stderr)) & {"\x1b", "\x07", "\u202e"}


def test_a_hostile_file_name_is_printed_escaped(tmp_path: Path, out: Path) -> None:
    given = dense_model(tmp_path / "a\x1b[31m\nb.onnx", [("w", 64, 64)])
    ended = nncompress(*quantize(given, out))
    assert ended.exit_code == 0
    assert "\x1b" not in ended.stdout + ended.stderr
    missing = nncompress(*quantize(tmp_path / "no\x1b[31m\n.onnx", out, "--force"))
    assert missing.exit_code == 3
    assert "\x1b" not in one_line(missing.stderr)


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(model: Path, out: Path) -> None:
    command = " ".join(command_line(*quantize(model, out)))
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        env=plain_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert files_in(out.parent) == {"small.onnx"}


@pytest.mark.slow
def test_json_on_stdout_is_nothing_but_json(model: Path, out: Path) -> None:
    ended = nncompress_process(*quantize(model, out, "--json", "-"))
    assert (ended.exit_code, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["summary"]["level"] == "pass"
    assert report["comparison"]["candidate"]["file_bytes"] == out.stat().st_size
