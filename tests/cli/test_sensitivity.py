"""sensitivity: a table, reports in every format, and a recipe that the command `run` takes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.support import MLP, SAMPLES, last_line, nncompress, one_line

DATA = SAMPLES / "data/image_evaluation.npz"


def test_weights_are_ranked_and_written_in_every_format(tmp_path: Path) -> None:
    files = {name: tmp_path / f"s.{name}" for name in ("json", "csv", "html")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    recipe = tmp_path / "r.toml"
    ended = nncompress("sensitivity", MLP, "--data", DATA, *options, "--recipe", recipe, "--max-drop", "1 %")
    assert (ended.exit_code, ended.stderr) == (0, "")
    tree = json.loads(files["json"].read_text())
    ranked = [weight["name"] for weight in tree["weights"]]
    assert sorted(ranked) == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert tree["metric"] == "top-1"
    shown = [line.split()[0] for line in ended.stdout.splitlines() if line.startswith("  fc")]
    assert shown == ranked
    assert last_line(ended.stdout).startswith(f"DONE  {MLP}: most sensitive of 3 weights: {ranked[0]} (")
    assert last_line(ended.stdout).endswith("(drop <= 1.0 %)")
    with files["csv"].open() as stream:
        assert [line["name"] for line in csv.DictReader(stream)] == ranked
    assert all(name in files["html"].read_text() for name in ranked)
    made = nncompress("run", recipe, MLP, "-o", tmp_path / "o.onnx", "--seconds", 0, "--data", DATA, "-q")
    assert made.exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "r.toml"], "needs what it has to keep"),
        (["--min-sqnr", "30"], "needs what it has to keep"),
        (["--recipe", "r.toml", "--min-sqnr", "much"], "much"),
        (["--resume", "-"], "--resume needs a file"),
        (["--resume", str(DATA), "--data", str(DATA)], "would overwrite another file"),
        (["-p", "quantize"], "unknown pass 'quantize'"),
        (["-p", "correct-biases"], "correct-biases needs calibration, which sensitivity does without"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_work(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = nncompress("sensitivity", MLP, *options)
    assert ended.exit_code == 2
    assert message in one_line(ended.stderr)
    assert list(tmp_path.iterdir()) == []
