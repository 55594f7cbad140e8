"""The glue for make, GitHub, pre-commit and GitLab does what it says, as far as that can be seen without them."""

from __future__ import annotations

import json
import os
import re
import shlex
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
        assert "FAIL  ratio: " in failed.stdout
        assert not target.exists()


def action(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """The last step of action.yml, with these `args`."""
    script = (ROOT / "action.yml").read_text().rpartition("run: ")[2]
    variables = {"ARGS": arguments, "ACTION_PATH": str(ROOT), "GITHUB_ACTIONS": "true"}
    return run(
        ["bash", "-e", "-o", "pipefail", "-c", script], folder, **variables,
        GITHUB_STEP_SUMMARY=str(folder / "summary.md"),
    )  # fmt: skip


@pytest.mark.slow
def test_the_action_passes_its_arguments_on_quoted_and_runs_nothing_else(project: Path) -> None:
    arguments = (
        'quantize model.onnx -o out.onnx --no-validate -q --max-size "1 MB" --include "fc*" --exclude "$(touch x)"'
    )
    ended = action(project, arguments)
    assert "matches no weight" in ended.stderr
    assert not (project / "x").exists()
    ended = action(project, arguments.partition(" --exclude")[0])
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("::warning title=nncompress%3A out.onnx%3A validated::")
    missed = action(project, "quantize model.onnx\n--dry-run -q --no-validate\n--max-size '1 kB'\n")
    assert (missed.returncode, "::error title=nncompress%3A model.small.onnx%3A max-size" in missed.stderr) == (1, True)
    assert action(project, "passes").returncode == 0
    assert (project / "summary.md").read_text().startswith("## ⚠️ WARN: model.onnx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('quantize model.onnx -o out.onnx --max-drop "1 %', "args: the quote does not close in '\"1 %25'"),
        ("  \n", "args: there is no command: give one, such as check"),
    ],
)
def test_the_action_drops_no_word_and_says_what_it_cannot_read(project: Path, arguments: str, message: str) -> None:
    ended = action(project, arguments)
    assert (ended.returncode, ended.stderr) == (2, f"::error title=nncompress::{message}\n")


@pytest.mark.slow
def test_the_steps_of_the_workflow_do_what_they_say_and_a_missed_limit_breaks_it(project: Path) -> None:
    lines = (EXAMPLES / "github.yml").read_text().split("args: ")[1:]
    compress, bench, check = (text.removeprefix("|").partition("      - uses")[0] for text in lines)
    ended = action(project, compress)
    assert ended.returncode == 0, ended.stderr
    assert (project / "int8 model.onnx").exists()
    benched = action(project, bench)
    assert benched.returncode == 0, benched.stderr
    models = json.loads((project / "bench.json").read_text())["models"]
    assert [model["path"] for model in models] == ["int8 model.onnx", "model.onnx"]
    (project / "nncompress.toml").write_text('[[budget]]\npath = "int8*.onnx"\nmax_size = "80 kB"\n')
    checked = action(project, check)
    assert (checked.returncode, "max-size" in checked.stderr) == (1, True)
    assert "80 kB (nncompress.toml)" in checked.stdout
    missed = action(project, f"{compress.replace('100 kB', '80 kB')} --force")
    assert (missed.returncode, "::error title=nncompress%3A int8 model.onnx%3A max-size" in missed.stderr) == (1, True)


@needs_make
@pytest.mark.slow
def test_the_limits_of_make_are_quoted_and_a_missed_one_leaves_no_target(project: Path) -> None:
    made = run(["make", 'LIMITS=--max-size "100 kB"'], project)
    assert (made.returncode, list(project.glob("*.int8.onnx"))) == (0, [project / "model.int8.onnx"]), made.stderr
    later(project / "recipe.toml")
    failed = run(["make", 'LIMITS=--max-size "80 kB"'], project)
    assert (failed.returncode, "FAIL  max-size: 87.2 kB, limit <= 80 kB; " in failed.stdout) == (2, True)
    assert not list(project.glob("*.int8.onnx"))


@pytest.mark.slow
def test_the_hook_of_pre_commit_checks_what_its_example_names_and_fails_on_a_missed_limit(project: Path) -> None:
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text()
    example = (EXAMPLES / "pre-commit-config.yaml").read_text()
    (name,) = re.findall(r"- id: (\S+)", example)
    assert f"- id: {name}\n" in hook
    (entry,), (files,) = re.findall(r"entry: (.+)", hook), re.findall(r"files: (.+)", hook)
    (arguments,) = re.findall(r"args: (.+)", example)
    command = [*shlex.split(entry), *json.loads(arguments)]
    for limit, code in (("1 MB", 0), ("80 kB", 1)):
        (project / "ci").mkdir(exist_ok=True)
        (project / "ci/model budgets.toml").write_text(f'[[budget]]\npath = "../*.onnx"\nmax_size = "{limit}"\n')
        ended = run(command, project)
        assert ended.returncode == code, ended.stderr
    assert re.search(r"FAIL +max-size +341 kB +<= 80 kB \(ci/model budgets.toml\)", ended.stdout)
    for changed, counts in (("a/b.onnx", True), ("ci/nncompress.toml", True), ("a.onnx.data", True), ("a.py", False)):
        assert bool(re.search(files, changed)) == counts


@pytest.mark.parametrize("name", ["action.yml", "examples/ci/gitlab-ci.yml", ".pre-commit-hooks.yaml"])
def test_commands_and_options_named_are_ones_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "\t" not in text
    commands = re.findall(r"nncompress (check|run|quantize)\b(.*)", text)
    assert commands or name == "action.yml"
    for command, options in commands:
        known = nncompress(command, "--help").stdout
        assert all(option in known for option in re.findall(r"--[a-z-]+", options))
