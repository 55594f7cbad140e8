"""The commands that change nothing: inspect, passes, doctor."""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path

import pytest

from nncompress.passes import ALL_PASSES
from nncompress.passes.base import Pass
from nncompress.passes.spec import parse_step
from tests.support import MLP, SAMPLES, files_in, nncompress, one_line

each_pass = pytest.mark.parametrize("kind", ALL_PASSES, ids=lambda kind: kind.name)


def test_every_pass_is_listed_with_a_sentence() -> None:
    lines = nncompress("passes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [kind.name for kind in ALL_PASSES]
    assert all(line.endswith(".") for line in lines)


@each_pass
def test_a_pass_is_documented_with_all_its_options(kind: type[Pass]) -> None:
    ended = nncompress("passes", kind.name)
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[0] == kind.name
    for field in dataclasses.fields(kind):
        (number,) = (n for n, line in enumerate(lines) if line.startswith(f"  {field.name}="))
        assert lines[number + 1].startswith("      ")
        assert lines[number + 1].strip(), f"option {field.name} is not explained"


@each_pass
def test_a_pass_can_be_named_as_a_step(kind: type[Pass]) -> None:
    assert parse_step(kind.name) == kind()


def test_doctor_names_the_versions_that_figures_depend_on() -> None:
    ended = nncompress("doctor")
    assert (ended.exit_code, ended.stderr) == (0, "")
    rows = dict(line.split("  ", 1) for line in ended.stdout.splitlines())
    assert rows["nncompress"].strip() == version("nncompress")
    assert rows["numpy"].strip() == version("numpy")
    assert rows["onnxruntime"].strip().startswith(version("onnxruntime"))
    assert "CPUExecutionProvider" in rows["onnxruntime"]


@pytest.mark.parametrize("name", ["digits_cnn.onnx", "digits_wide/model.onnx"])
def test_inspect_shows_a_model_and_writes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = nncompress("inspect", SAMPLES / name)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert Path(name).name in ended.stdout
    assert files_in(tmp_path) == set()


def test_inspect_prints_json_that_can_be_read() -> None:
    ended = nncompress("inspect", MLP, "--json")
    assert ended.exit_code == 0
    assert isinstance(json.loads(ended.stdout), dict)


def test_inspect_shows_the_difference_between_two_models(tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    assert nncompress("quantize", MLP, "-o", small, "--no-validate").exit_code == 0
    ended = nncompress("inspect", MLP, small)
    assert ended.exit_code == 0
    assert "small.onnx" in ended.stdout
    assert isinstance(json.loads(nncompress("inspect", MLP, small, "--json").stdout), dict)


def test_inspect_of_a_file_that_is_not_there_ends_with_3(tmp_path: Path) -> None:
    ended = nncompress("inspect", tmp_path / "missing.onnx")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert one_line(ended.stderr) == f"nncompress: error: cannot read {tmp_path / 'missing.onnx'}: no such file"
