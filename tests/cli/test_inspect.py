"""`inspect`: one model, or the difference between two, as text and JSON; it writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import MLP, SAMPLES, files_in, nncompress, one_line


@pytest.mark.parametrize("name", ["digits_cnn.onnx", "digits_wide/model.onnx"])
def test_inspect_shows_a_model_and_writes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = nncompress("inspect", SAMPLES / name)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert Path(name).name in ended.stdout
    assert files_in(tmp_path) == set()


def test_inspect_prints_json_that_can_be_read() -> None:
    ended = nncompress("inspect", MLP, "--json", "-")
    assert ended.exit_code == 0
    assert isinstance(json.loads(ended.stdout), dict)


def test_inspect_shows_the_difference_between_two_models(tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    assert nncompress("quantize", MLP, "-o", small, "--no-validate").exit_code == 0
    ended = nncompress("inspect", MLP, small)
    assert ended.exit_code == 0
    assert "small.onnx" in ended.stdout
    assert isinstance(json.loads(nncompress("inspect", MLP, small, "--json", "-").stdout), dict)


@pytest.mark.parametrize("models", [[MLP], [MLP, MLP]])
def test_json_goes_to_a_file_beside_the_text_as_in_every_command(models: list[Path], tmp_path: Path) -> None:
    saved = tmp_path / "out.json"
    ended = nncompress("inspect", *models, "--json", saved)
    assert (ended.exit_code, ended.stderr, MLP.name in ended.stdout.splitlines()[0]) == (0, "", True)
    assert json.loads(saved.read_text()) == json.loads(nncompress("inspect", *models, "--json", "-").stdout)


def test_inspect_of_a_file_that_is_not_there_ends_with_3(tmp_path: Path) -> None:
    ended = nncompress("inspect", tmp_path / "missing.onnx")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert one_line(ended.stderr) == f"nncompress: error: cannot read {tmp_path / 'missing.onnx'}: no such file"
