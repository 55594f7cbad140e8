"""The command: planned whole, sharded and merged, one table, and a reason for what is missing."""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path

import pytest

from nncompress.search.sweep import trial_names
from tests.search.sweeps import CNN, LSTM, RECIPES, arguments, outcomes, with_recipes
from tests.support import MLP, files_in, nncompress, one_line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return with_recipes(tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_sweep_ends_in_one_table_and_the_reasons_for_what_is_missing(here: Path) -> None:
    ended = nncompress(*arguments("out", "--no-validate", models=(MLP, LSTM), recipes=("int8", "thin")))
    assert ended.exit_code == 0
    assert "\nWARN  3 results, " in ended.stdout
    assert re.search(r"digits_lstm--thin +4  nothing was compressed: 2 weights: LSTM cannot be split", ended.stdout)
    assert "[4/4] " in ended.stderr
    listed = nncompress(*arguments("out", "--no-validate", "--dry-run", models=(MLP, LSTM), recipes=("int8", "sparse")))
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["ended", "to", "ended", "to"]


def swept(*more: object, models=(MLP,), folder: str = ".", recipe: str = "int8.toml"):  # type: ignore[no-untyped-def]
    return nncompress("sweep", *models, "--recipe", recipe, "-o", folder, "--no-validate", "--jobs", 1, *more)


@pytest.mark.parametrize("name", ["m--int8.onnx", "m--int8.json", "m--int8.trial.json", "m--int8.onnx.01234567.data"])
@pytest.mark.parametrize("kind", ["file", "dangling link", "FIFO"])
def test_a_file_that_no_sweep_made_is_not_replaced(here: Path, name: str, kind: str) -> None:
    (here / "m.onnx").write_bytes(MLP.read_bytes())
    if kind == "file":
        (here / name).write_text("mine")
    elif kind == "FIFO":
        os.mkfifo(name)
    else:
        (here / name).symlink_to("nowhere")
    before = files_in(here)
    for more in ((), ("--dry-run",)):
        ended = swept(*more, models=("m.onnx",))
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert f"{name} exists and was made by no sweep: move it, or name another folder with -o" in ended.stderr
    assert files_in(here) == before
    assert kind != "file" or (here / name).read_text() == "mine"


def test_a_model_that_is_an_input_too_is_not_replaced(here: Path) -> None:
    for name in ("m.onnx", "m--int8.onnx"):
        (here / name).write_bytes(MLP.read_bytes())
    before = files_in(here)
    ended = swept(models=("m.onnx", "m--int8.onnx"))
    assert ended.exit_code == 2
    assert "m--int8.onnx is an input of this sweep, which would overwrite it" in one_line(ended.stderr)
    assert files_in(here) == before
    assert (here / "m--int8.onnx").read_bytes() == MLP.read_bytes()


@pytest.mark.parametrize("kind", ["recipe", "JSON", "FIFO"])
def test_a_plan_goes_over_nothing_but_a_plan(here: Path, kind: str) -> None:
    recipe = '{"steps": [{"pass": "quantize-weights"}]}'
    if kind == "FIFO":
        os.mkfifo("sweep.json")
    else:
        Path("sweep.json").write_text(recipe)
    ended = swept(recipe="sweep.json" if kind == "recipe" else "int8.toml")
    assert (ended.exit_code, "another folder with -o" in one_line(ended.stderr)) == (2, True)
    assert kind == "FIFO" or Path("sweep.json").read_text() == recipe
    assert files_in(here) == {"sweep.json", *(f"{name}.toml" for name in RECIPES)}


@pytest.mark.slow
def test_what_a_killed_sweep_left_without_a_stamp_is_its_own(here: Path) -> None:
    assert swept(folder="out").exit_code == 0
    for file in ("out/digits_mlp--int8.trial.json", "out/digits_mlp--int8.json"):
        Path(file).unlink()
    ended = swept(folder="out")
    assert (ended.exit_code, "ended before" in ended.stderr) == (0, False)
    other = swept(folder="out", recipe="sparse.toml")
    assert (other.exit_code, len(outcomes("out"))) == (0, 2)
    assert "ended before" in swept(folder="out").stderr


def test_names_of_models_are_listed_as_they_can_be_printed(here: Path) -> None:
    Path("e\x1b[2Jx.onnx").write_bytes(MLP.read_bytes())
    ended = swept("--dry-run", models=("e\x1b[2Jx.onnx",))
    assert (ended.exit_code, "\x1b" in ended.stdout, "e\\x1b[2Jx.onnx" in ended.stdout) == (0, False, True)


def test_a_name_that_is_not_utf_8_may_stand_twice(here: Path) -> None:
    names = [Path("a/\udcff.onnx"), Path("b/\udcff.onnx")]
    assert len(set(trial_names(names, ["int8.toml"]).values())) == 2


@pytest.mark.slow
def test_options_of_recipe_and_command_line_and_the_stem_of_the_data(here: Path) -> None:
    (here / "feeds").mkdir()
    source = CNN.parent / "data/image_evaluation.npz"
    (here / "feeds/digits_mlp.npz").write_bytes(source.read_bytes())
    (here / "limited.toml").write_text('seconds = 0\n[data]\npath = "feeds/{stem}.npz"\n' + RECIPES["int8"])
    ended = nncompress("sweep", MLP, "--recipe", "limited.toml", "-o", "out", "--max-drop", "5 %")
    assert ended.exit_code == 0, ended.stderr
    report = json.loads((here / "out/digits_mlp--limited.json").read_text())
    assert report["comparison"]["run"]["feeds"]["source"] == "feeds/digits_mlp.npz"
    assert "drop" in [rule["rule"] for rule in report["verdict"]["rules"]]


def test_a_model_without_a_result_that_passes_fails_the_sweep(here: Path) -> None:
    ended = nncompress(*arguments("out", "--max-size", "1 kB", "--no-validate", models=(MLP,), recipes=("int8",)))
    assert ended.exit_code == 1
    assert ended.stderr.endswith(f"{MLP} has no result that passes\n")


def test_a_sweep_without_any_result_says_why_in_every_format(here: Path) -> None:
    (here / "bad.onnx").write_bytes(b"no model")
    files = (
        "--json",
        "s.json",
        "--markdown",
        "s.md",
        "--html",
        "s.html",
        "--csv",
        "s.csv",
        "--junit",
        "s.xml",
        "--sarif",
        "s.sarif",
    )
    ended = nncompress(*arguments("out", *files, models=("bad.onnx",), recipes=("int8",)))
    assert ended.exit_code == 1
    assert ended.stdout.endswith(
        "\nFAIL  0 results, 0 on the Pareto front, 1 without result, no result that passes for bad.onnx\n"
    )
    assert json.loads((here / "s.json").read_text())["missing"][0]["exit_code"] == 3
    for name in ("s.md", "s.html", "s.xml", "s.sarif"):
        assert "bad--int8" in (here / name).read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shard", "4/3"], "--shard '4/3' is not I/N with I from 1 to N"),
        (["--jobs", "-1"], "--jobs must be 0 (one a core) or more"),
        (["--recipe", "gone.toml"], "recipe: cannot read gone.toml: no such file"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(here: Path, more: list[str], message: str) -> None:
    before = files_in(here)
    ended = nncompress(*arguments("out", *more, models=(MLP,), recipes=("int8",)))
    assert ended.exit_code in (2, 3)
    assert message in ended.stderr
    assert {name for name in files_in(here) if not name.startswith("out")} == before


def test_a_dask_cluster_that_does_not_answer_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    impatient = functools.partial(distributed.Client, timeout=0.2)
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: impatient(address))
    before = files_in(here)
    ended = nncompress(*arguments("out", "--dask", "tcp://127.0.0.1:1", models=(MLP,), recipes=("int8",)))
    assert ended.exit_code in (2, 3)
    assert "cannot reach the Dask cluster at tcp://127.0.0.1:1" in one_line(ended.stderr)
    assert {name for name in files_in(here) if not name.startswith("out")} == before


@pytest.mark.slow
def test_shards_merge_into_the_table_of_the_whole(here: Path) -> None:
    more = ("--no-validate",)
    whole = nncompress(*arguments("whole", *more, models=(MLP, LSTM), recipes=("int8", "thin")))
    for number in (1, 2):
        part = arguments(f"s{number}", *more, f"--shard={number}/2", models=(MLP, LSTM), recipes=("int8", "thin"))
        ended = nncompress(*part)
        assert (ended.exit_code, ended.stdout) == (
            0, f"shard {number}/2: 2 of 2 trials have ended (nncompress report --merge)\n"
        )  # fmt: skip
    merged = nncompress("report", "--merge", "s1", "s2")
    assert (merged.exit_code, merged.stdout) == (0, whole.stdout)
    partly = nncompress("report", "--merge", "s2")
    assert partly.exit_code == 3
    assert "2 trials of the sweep have not ended" in partly.stderr
    assert nncompress("report", "--merge", "s1", "whole/..").exit_code == 3
