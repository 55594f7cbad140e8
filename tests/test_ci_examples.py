"""The glue for make, GitHub, pre-commit and GitLab does what it says, as far as that can be seen without them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import IMAGES, MLP, ROOT, nncompress, plain_environment

EXAMPLES = ROOT / "examples/ci"
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "project")
    shutil.copy(MLP, tmp_path / "project/model.onnx")
    shutil.copy(IMAGES, tmp_path / "project/eval.npz")
    return tmp_path / "project"


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**plain_environment(), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env={**environment, **variables}, capture_output=True, text=True, check=False
    )


def later(path: Path) -> None:
    """Touches a file as if some seconds had passed."""
    moment = time.time() + 5
    os.utime(path, (moment, moment))


@needs_make
@pytest.mark.slow
def test_make_builds_once_and_again_when_the_recipe_changes(project: Path) -> None:
    first = run(["make"], project)
    assert first.returncode == 0, first.stderr
    target = project / "model.int8.onnx"
    made = target.stat()
    again = run(["make"], project)
    assert (again.returncode, "nncompress" in again.stdout) == (0, False)
    assert target.stat() == made
    later(project / "recipe.toml")
    touched = run(["make"], project)
    assert "nncompress run recipe.toml model.onnx" in touched.stdout
    assert target.stat().st_ino != made.st_ino


@needs_make
@pytest.mark.slow
def test_a_failing_compression_leaves_no_target_not_even_an_old_one(project: Path) -> None:
    target, recipe = project / "model.int8.onnx", project / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("min_ratio = 3", "min_ratio = 100"))
    for old in (False, True):
        if old:
            target.write_bytes(b"of an earlier build")
            later(recipe)
        failed = run(["make", "model.int8.onnx"], project)
        assert failed.returncode == 2
        assert "ratio failed" in failed.stderr
        assert not target.exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("xargs") is None, reason="needs xargs")
def test_the_action_passes_its_arguments_on_quoted_and_runs_nothing_else(project: Path) -> None:
    script = (ROOT / "action.yml").read_text().rpartition("run: |\n")[2]
    summary = project / "summary.md"
    arguments = (
        'quantize model.onnx -o out.onnx --no-validate -q --max-size "1 MB" --include "fc*" --exclude "$(touch x)"'
    )
    variables = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"}
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    ended = run(command, project, ARGS=arguments, **variables)
    assert "matches no weight" in ended.stderr or "$(touch x)" in ended.stderr
    assert not (project / "x").exists()
    ended = run(command, project, ARGS=arguments.partition(" --exclude")[0], **variables)
    assert ended.returncode == 0, ended.stderr
    missed = run(command, project, ARGS="quantize model.onnx --dry-run -q --no-validate --min-ratio 99", **variables)
    assert missed.returncode == 1
    assert run(command, project, ARGS="passes", **variables).returncode == 0
    assert summary.read_text().startswith("## ⚠️ WARN: model.onnx")
    assert ended.stderr.startswith("::warning title=nncompress%3A out.onnx%3A validated::")


@pytest.mark.parametrize("name", ["action.yml", "examples/ci/gitlab-ci.yml", ".pre-commit-hooks.yaml"])
def test_commands_and_options_named_are_ones_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "\t" not in text
    commands = re.findall(r"nncompress (check|run|quantize)\b(.*)", text)
    assert commands or name == "action.yml"
    for command, options in commands:
        known = nncompress(command, "--help").stdout
        assert all(option in known for option in re.findall(r"--[a-z-]+", options))
