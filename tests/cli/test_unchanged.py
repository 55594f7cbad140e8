"""--if-changed does nothing exactly where the result would be the same file with the same verdict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support import dense_model, nncompress, one_line


@pytest.fixture
def command(model: Path, out: Path) -> list[object]:
    made = [
        "quantize",
        model,
        "-o",
        out,
        "--no-validate",
        "--force",
        "-q",
        "--if-changed",
        "--json",
        out.with_suffix(".json"),
    ]
    ended = nncompress(*made)
    assert ended.exit_code == 0, ended.stderr
    return made


def made_again(command: list[object], out: Path, *more: object) -> bool:
    """Whether the command wrote OUT; else it said that it is up to date."""
    before = out.stat().st_ino if out.exists() else None
    ended = nncompress(*command, *more)
    assert ended.exit_code == 0, ended.stderr
    anew = out.stat().st_ino != before
    assert (one_line(ended.stdout) == f"{out} is up to date") != anew
    return anew


def touched(path: Path) -> tuple[int, ...]:
    """Where any change of the file or of its attributes shows; reading it, as hashing does, changes its atime alone."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_mode


def test_the_second_run_does_nothing(command: list[object], out: Path) -> None:
    before = touched(out)
    assert not made_again(command, out)
    assert not made_again(command, out, "--threads", 1)
    assert touched(out) == before


def test_another_option_or_pass_makes_it_anew(command: list[object], out: Path) -> None:
    for more in (["--dtype", "uint8"], ["--form", "dequantize"], ["--max-size", "1 MB"], ["--seed", 1]):
        assert made_again(command, out, *more)
        assert not made_again(command, out, *more)


def test_another_input_makes_it_anew(command: list[object], out: Path, model: Path) -> None:
    dense_model(model, [("fc1", 64, 96), ("fc2", 96, 32)])
    assert made_again(command, out)


def test_a_result_that_is_gone_or_was_touched_is_made_anew(command: list[object], out: Path) -> None:
    out.unlink()
    assert made_again(command, out)
    out.write_bytes(out.read_bytes() + b"\0")
    assert made_again(command, out)


def test_another_version_or_a_damaged_or_missing_report_makes_it_anew(command: list[object], out: Path) -> None:
    saved = out.with_suffix(".json")
    tree = json.loads(saved.read_text())
    tree["environment"]["nncompress"] = "0.0.1"
    for text in (json.dumps(tree), "{}", "\xff"):
        saved.write_text(text, encoding="latin-1")
        assert made_again(command, out)
    assert made_again(command, out, "--html", out.with_suffix(".html"))
    assert not made_again(command, out, "--html", out.with_suffix(".html"))


def test_changed_data_makes_it_anew(model: Path, out: Path) -> None:
    data = out.with_name("data.npy")
    command = ["quantize", model, "-o", out, "--force", "-q", "--seconds", 0, "--if-changed", "--data", data]
    command += ["--json", out.with_suffix(".json")]
    np.save(data, np.ones((2, 64), np.float32))
    assert made_again(command, out)
    assert not made_again(command, out)
    np.save(data, np.full((2, 64), 2, np.float32))
    assert made_again(command, out)


def test_a_changed_metric_makes_it_anew(model: Path, out: Path) -> None:
    metric = out.with_name("scores.py")
    command = [
        "quantize",
        model,
        "-o",
        out,
        "--force",
        "-q",
        "--seconds",
        0,
        "--if-changed",
        "--data",
        out.with_name("d.npy"),
    ]
    command += ["--json", out.with_suffix(".json"), "--metric", f"{metric}:score"]
    np.save(out.with_name("d.npy"), np.ones((2, 64), np.float32))
    for worth in (1.0, 0.5):
        metric.write_text(f"def score(outputs, labels, inputs):\n    return {worth}\n")
        assert made_again(command, out)
        assert not made_again(command, out)


def test_a_failed_result_that_was_kept_is_not_up_to_date(model: Path, out: Path) -> None:
    command = ["quantize", model, "-o", out, "--no-validate", "--force", "--if-changed", "--keep-failed"]
    command += ["--max-size", "1 B", "--json", out.with_suffix(".json")]
    assert [nncompress(*command).exit_code for _ in range(2)] == [1, 1]


def test_the_summary_of_a_job_gets_the_saved_report(
    command: list[object], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = out.with_name("summary.md")
    summary.write_text("before\n\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert not made_again(command, out, "--github-summary")
    shown = nncompress("report", out.with_suffix(".json"), "--markdown", "-").stdout
    assert summary.read_text() == f"before\n\n{shown}\n"


def test_it_needs_a_saved_report(model: Path, out: Path) -> None:
    for more in ([], ["--json", "-"]):
        ended = nncompress("quantize", model, "-o", out, "--if-changed", *more)
        assert (ended.exit_code, "--if-changed needs --json FILE" in one_line(ended.stderr)) == (2, True)
