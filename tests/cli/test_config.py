"""Where options come from: flag > NNCOMPRESS_* > recipe > nncompress.toml > pyproject.toml."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from nncompress.cli.options import SeedOptions
from tests.support import IMAGES, MLP, nncompress, one_line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def sources(*arguments: object) -> dict[str, tuple[str, str]]:
    """{option: (value, source)} as --show-config prints them."""
    ended = nncompress(*arguments, "--show-config")
    assert (ended.exit_code, ended.stderr) == (0, "")
    rows = [line.split("  ") for line in ended.stdout.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {name: (value, source) for name, value, source in cells}


def test_each_place_counts_more_than_the_next(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text("[tool.nncompress]\nseed = 1\nseconds = 0.25\nform = 'dequantize'\nthreads = 1\n")
    Path("nncompress.toml").write_text("seed = 2\nseconds = 0.5\nform = 'folded'\n[limits]\nmax_drop = '1 %'\n")
    Path("recipe.toml").write_text("seed = 3\nseconds = 0.75\n[[steps]]\npass = 'factorize'\n")
    monkeypatch.setenv("NNCOMPRESS_SEED", "4")
    found = sources("run", "recipe.toml", "m.onnx")
    assert found["seed"] == ("4", "NNCOMPRESS_SEED")
    assert found["seconds"] == ("0.75", "recipe.toml")
    assert found["form"] == ("folded", "nncompress.toml")
    assert found["max_drop"] == ("1 %", "nncompress.toml")
    assert found["threads"] == ("1", "pyproject.toml")
    assert found["min_cosine"] == ("-", "default")
    assert sources("run", "recipe.toml", "m.onnx", "--seed", 5)["seed"] == ("5", "command line")
    assert sources("check")["seed"] == ("4", "NNCOMPRESS_SEED")
    assert sources("compare", "a", "b")["seconds"] == ("0.5", "nncompress.toml")


def test_the_nearest_configuration_above_counts_and_its_paths_are_its_own(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("nncompress.toml").write_text('seed = 1\nthreads = 3\n[data]\npath = "d.npz"\n')
    deep = here / "a/b"
    deep.mkdir(parents=True)
    Path("a/pyproject.toml").write_text("[project]\nname = 'not ours'\n")
    monkeypatch.chdir(deep)
    found = sources("compare", "a", "b")
    assert found["seed"] == ("1", "../../nncompress.toml")
    assert found["data"] == ("../../d.npz", "../../nncompress.toml")
    Path("../pyproject.toml").write_text("[tool.nncompress]\nseed = 2\n")
    found = sources("quantize", "m.onnx")
    assert (found["seed"], found["threads"]) == (("2", "../pyproject.toml"), ("0", "default"))
    Path("own.toml").write_text("seed = 3\n")
    assert sources("run", "-p", "factorize", "m.onnx", "--config", "own.toml")["seed"] == ("3", "own.toml")
    assert sources("bench", "m.onnx", "--no-config")["seed"] == ("0", "default")


def test_a_limit_of_a_folder_above_is_a_gate_that_says_where_it_stands(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("nncompress.toml").write_text('[limits]\nmax_size = "80 kB"\n[[budget]]\npath = "*.onnx"\nmax_size = "1 kB"\n')
    Path("m.onnx").write_bytes(MLP.read_bytes())
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    given = ("quantize", "../m.onnx", "-o", "o.onnx", "--no-validate")
    ended = nncompress(*given)
    assert (ended.exit_code, Path("o.onnx").exists()) == (1, False)
    assert "FAIL  max-size: 87.2 kB, limit <= 80 kB (../nncompress.toml); 7.22 kB too large" in ended.stdout
    checked = nncompress("check")
    assert checked.exit_code == 1
    assert re.search(r"FAIL +max-size +341 kB +<= 1 kB \(../nncompress.toml\)", checked.stdout)
    monkeypatch.setenv("NNCOMPRESS_MIN_RATIO", "9")
    assert "limit >= 9x (NNCOMPRESS_MIN_RATIO)" in nncompress(*given, "--max-size", "1 MB").stdout
    monkeypatch.delenv("NNCOMPRESS_MIN_RATIO")
    assert nncompress(*given, "--no-config").exit_code == 0


@pytest.mark.slow
def test_a_limit_on_the_task_needs_something_that_says_how_well_it_is_done(here: Path) -> None:
    with np.load(IMAGES) as arrays:
        np.savez("unlabelled.npz", image=arrays["image"][:8])
    Path("nncompress.toml").write_text('seconds = 0\n[limits]\nmax_drop = "1 %"\n')
    given = ["quantize", MLP, "-o", "out.onnx", "--seconds", 0]
    for options, message in (
        ([], "max_drop in nncompress.toml needs labels: --data with --labels NPZ or as an array 'labels' in the data"),
        (["--data", "unlabelled.npz"], "needs labels: unlabelled.npz has none: name them with --labels NPZ or as"),
    ):
        refused = nncompress(*given, *options)
        assert (refused.exit_code, message in one_line(refused.stderr)) == (2, True)
    refused = nncompress("sweep", MLP, "--recipe", recipe("r.toml"), "-o", "results")
    assert (refused.exit_code, "max_drop in nncompress.toml needs labels" in one_line(refused.stderr)) == (2, True)
    assert not Path("results").exists()
    assert nncompress(*given, "--data", "unlabelled.npz", "--metric", "recall@3", "--max-drop", "99 %").exit_code == 0


def recipe(name: str) -> Path:
    Path(name).write_text('[[steps]]\npass = "quantize-weights"\n')
    return Path(name)


def test_what_a_configuration_is_cannot_be_said_twice_and_check_needs_one(here: Path) -> None:
    both = nncompress("compare", "a", "b", "--config", "c.toml", "--no-config")
    assert (both.exit_code, "--config FILE and --no-config exclude each other" in one_line(both.stderr)) == (2, True)
    Path("nncompress.toml").write_text('[[budget]]\npath = "*.onnx"\noptional = true\nmax_size = "1 kB"\n')
    assert nncompress("check").exit_code == 0
    none = nncompress("check", "--no-config")
    assert (
        none.exit_code,
        "check reads its budgets from nncompress.toml: leave --no-config out" in one_line(none.stderr),
    ) == (2, True)


@pytest.mark.parametrize("seconds", ["variable", "file"])
@pytest.mark.slow
def test_no_time_for_latency_breaks_neither_check_nor_bench(
    here: Path, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    Path("m.onnx").write_bytes(MLP.read_bytes())
    budget = '[[budget]]\npath = "m.onnx"\nreference = "m.onnx"\nmin_cosine = 0.9\n'
    setting = "seconds = 0\n" if seconds == "file" else ""
    if seconds == "variable":
        monkeypatch.setenv("NNCOMPRESS_SECONDS", "0")
    Path("nncompress.toml").write_text(setting + budget)
    assert nncompress("check").exit_code == 0
    Path("nncompress.toml").write_text(f"{setting}{budget}max_latency_ratio = 9\n")
    checked = nncompress("check")
    assert checked.exit_code == 1
    row = r"FAIL +latency-ratio +not measured +<= 9 \(nncompress.toml\) +latency was not measured: leave out"
    assert re.search(row, checked.stdout)
    monkeypatch.setattr(SeedOptions, "seconds", 0.05)
    benched = nncompress("bench", "m.onnx")
    source = "NNCOMPRESS_SECONDS" if seconds == "variable" else "nncompress.toml"
    assert (benched.exit_code, f"seconds = 0 in {source} holds for other commands" in benched.stdout) == (0, True)
    refused = nncompress("bench", "m.onnx", "--seconds", 0)
    assert (refused.exit_code, "--seconds must be above 0" in one_line(refused.stderr)) == (2, True)


def test_data_given_on_the_command_line_brings_no_labels_from_a_file(here: Path) -> None:
    Path("nncompress.toml").write_text('[data]\npath = "a.npz"\nlabels = "l.npz"\ndims = { batch = 2 }\n')
    assert sources("compare", "a", "b")["labels"] == ("l.npz", "nncompress.toml")
    assert sources("compare", "a", "b")["dim"] == ("batch=2", "nncompress.toml")
    assert sources("compare", "a", "b", "--data", "other.npz")["labels"] == ("-", "default")


def test_a_limit_of_the_configuration_is_a_gate(here: Path) -> None:
    Path("nncompress.toml").write_text('[limits]\nmax_size = "1 kB"\n')
    ended = nncompress("quantize", MLP, "-o", "out.onnx", "--no-validate")
    assert ended.exit_code == 1
    assert "FAIL  max-size: " in ended.stdout
    assert nncompress("quantize", MLP, "-o", "out.onnx", "--no-validate", "--max-size", "1 MB").exit_code == 0


def test_the_environment_is_read_as_flags_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNCOMPRESS_MIN_COSINE", "two")
    ended = nncompress("quantize", MLP, "-o", "out.onnx")
    assert ended.exit_code == 2
    assert "NNCOMPRESS_MIN_COSINE (for --min-cosine) must be a number, not 'two'" in ended.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 1", "unknown key 'sead' (did you mean 'seed'?)"),
        ("seed = -1", "seed must be at least 0, not -1"),
        ("[limits]\nmin_cosin = 1", "limits: unknown key 'min_cosin' (did you mean 'min_cosine'?)"),
        ("[limits]\nmax_drop = 3", "limits.max_drop: share '3' is ambiguous"),
        ("form = 'nbits'", "form: unknown form 'nbits': it is folded, dequantize, integer"),
        ("[data]\ndims = { batch = 0 }", "data.dims.batch must be at least 1, not 0"),
        ("data = 'x.npz'", "data must be a table, not 'x.npz'"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(here: Path, text: str, message: str) -> None:
    Path("nncompress.toml").write_text(f'{text}\n[[budget]]\npath = "*.onnx"\noptional = true\nmax_size = 1000\n')
    checked = nncompress("check")
    assert checked.exit_code == 2
    assert message in checked.stderr
    ended = nncompress("quantize", MLP, "-o", "out.onnx")
    assert (ended.exit_code, message in one_line(ended.stderr)) == (2, True)


@pytest.mark.parametrize("name", ["nncompress.toml", "pyproject.toml"])
@pytest.mark.parametrize("kind", ["folder", "FIFO", "device", "dangling link"])
def test_a_configuration_that_is_no_file_is_not_passed_over(here: Path, name: str, kind: str) -> None:
    if kind == "folder":
        Path(name).mkdir()
    elif kind == "FIFO":
        os.mkfifo(name)
    else:
        Path(name).symlink_to("/dev/zero" if kind == "device" else "nowhere")
    for command in (["check"], ["quantize", MLP, "--dry-run"]):
        ended = nncompress(*command)
        assert (ended.exit_code, f"error: cannot read {name}: " in one_line(ended.stderr)) == (2, True)


@pytest.mark.slow
def test_a_saved_recipe_gives_the_same_bytes_and_options(here: Path, tmp_path: Path) -> None:
    options = ["--data", IMAGES, "--max-drop", "2 %", "--min-sqnr", -5, "--seconds", 0, "--form", "dequantize"]
    passes = ["-p", "prune-magnitude:sparsity=0.3,include=fc*", "-p", "quantize-weights:dtype=uint8"]
    for name in ("recipe.toml", "recipe.json"):
        recipe = tmp_path / name
        first = nncompress("run", *passes, MLP, "-o", "a.onnx", *options, "--force", "-q", "--save-recipe", recipe)
        assert first.exit_code == 0, first.stderr
        ended = nncompress("run", recipe, MLP, "-o", "b.onnx", "--force", "-q", "--json", "b.json")
        assert ended.exit_code == 0, ended.stderr
        assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()
        rules = {rule["rule"] for rule in json.loads(Path("b.json").read_text())["verdict"]["rules"]}
        assert {"drop", "sqnr"} <= rules
        found = sources("run", recipe, "m.onnx")
        assert Path(found["data"][0]).resolve() == IMAGES.resolve()
        assert found["form"] == ("dequantize", str(recipe))


@pytest.mark.parametrize(
    ("change", "sparsity"), [("steps.0.sparsity=0.4", "0.4"), ("steps.0.scope=global", "0.5,scope=global")]
)
def test_set_changes_a_recipe(here: Path, change: str, sparsity: str) -> None:
    Path("r.toml").write_text('[[steps]]\npass = "prune-magnitude"\nsparsity = 0.5\n')
    changes = ["--set", change, "--set", "limits.max_size=1 kB", "--set", "seed=7"]
    ended = nncompress("run", "r.toml", MLP, "--dry-run", "--no-validate", "--json", "-", *changes)
    assert ended.exit_code == 1
    report = json.loads(ended.stdout)
    assert report["passes"] == [f"prune-magnitude:sparsity={sparsity}"] or sparsity == "0.5,scope=global"
    assert report["summary"]["rules_failed"] == ["max-size"]
    assert report["seed"] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("steps.1.sparsity=0.4", "there is no step '1'; they are 0 to 0"),
        ("steps.0.sparsty=0.4", "step 1: prune-magnitude: unknown option 'sparsty' (did you mean 'sparsity'?)"),
        ("steps.0.sparsity", "is not PLACE=VALUE"),
        ("seed.x=1", "is not a table"),
        ("stebs=1", "unknown key 'stebs' (did you mean 'steps'?)"),
        ("limits.min_cosin=1", "limits: unknown key 'min_cosin'"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(here: Path, change: str, message: str) -> None:
    Path("r.toml").write_text('seed = 1\n[[steps]]\npass = "prune-magnitude"\nsparsity = 0.5\n')
    ended = nncompress("run", "r.toml", MLP, "--dry-run", "--set", change)
    assert ended.exit_code == 2
    assert message in one_line(ended.stderr)


def test_set_needs_a_recipe_and_a_recipe_is_never_overwritten(here: Path) -> None:
    Path("r.toml").write_text('[[steps]]\npass = "prune-magnitude"\n')
    assert nncompress("run", "-p", "factorize", MLP, "--dry-run", "--set", "seed=1").exit_code == 2
    for option in ("--json", "--save-recipe"):
        ended = nncompress("run", "r.toml", MLP, "-o", "o.onnx", option, "r.toml")
        assert (ended.exit_code, "would overwrite" in one_line(ended.stderr)) == (2, True)


def test_a_saved_recipe_is_overwritten_only_when_asked(here: Path) -> None:
    Path("mine.toml").write_text("mine")
    given = ("run", "-p", "quantize-weights", MLP, "--dry-run", "--no-validate", "--save-recipe", "mine.toml")
    refused = nncompress(*given)
    assert (refused.exit_code, one_line(refused.stderr)) == (
        2, "nncompress: error: mine.toml exists (--force overwrites it)",
    )  # fmt: skip
    assert Path("mine.toml").read_text() == "mine"
    assert nncompress(*given, "--force").exit_code == 0
    assert "quantize-weights" in Path("mine.toml").read_text()


def test_a_dry_run_says_so_and_what_it_would_make(here: Path) -> None:
    ended = nncompress("quantize", MLP, "--dry-run", "--no-validate")
    assert ended.exit_code == 0
    assert "dry run" in ended.stdout
    assert "quantize-weights" in ended.stdout
    assert list(here.iterdir()) == []


def test_values_and_sources_are_shown_escaped(here: Path) -> None:
    hostile = "a\x1b[31m\nb"
    Path(f"{hostile}.toml").write_text("seed = 1\n[[steps]]\npass = 'factorize'\n")
    found = sources("run", f"{hostile}.toml", "m.onnx", "--data", hostile)
    assert found["data"] == (r"a\x1b[31m\nb", "command line")
    assert found["seed"] == ("1", r"a\x1b[31m\nb.toml")


def test_a_variable_with_a_typo_is_an_error_and_any_other_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNCOMPRESS_TEST_SECRET", "x")
    assert nncompress("quantize", MLP, "--show-config").exit_code == 0
    monkeypatch.setenv("NNCOMPRESS_MAX_SIZ", "1 kB")
    refused = nncompress("quantize", MLP, "--show-config")
    assert refused.exit_code == 2
    assert "unknown variable NNCOMPRESS_MAX_SIZ (did you mean 'MAX_SIZE'" in refused.stderr
