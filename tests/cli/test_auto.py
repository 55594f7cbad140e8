"""auto: what is found keeps the limits, is what its recipe makes, promises no more than the data can, and goes on."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.support import IMAGES, MLP, SAMPLES, Ended, last_line, nncompress, one_line

CALIBRATION = SAMPLES / "data/image_calibration.npz"
GIVEN = ("--data", IMAGES, "--calibration", CALIBRATION, "--seconds", 0)


class Made(NamedTuple):
    folder: Path
    ended: Ended

    @property
    def report(self) -> dict:  # type: ignore[type-arg]
        tree: dict = json.loads((self.folder / "s.json").read_text())  # type: ignore[type-arg]
        return tree


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("auto")
    files = ("--resume", folder / "s.search", "--save-recipe", folder / "s.toml", "--json", folder / "s.json")
    limits = ("--min-sqnr", 20, "--min-cosine", 0.99)
    return Made(folder, nncompress("auto", MLP, "-o", folder / "s.onnx", *GIVEN, *limits, *files, "--verbose"))


def test_it_is_small_and_keeps_the_limits_on_data_that_guided_nothing(made: Made) -> None:
    assert made.ended.exit_code == 0
    report = made.report
    assert report["summary"]["bytes_after"] < report["summary"]["bytes_before"] / 10  # 4 bits: 7.8 times
    assert report["comparison"]["run"]["outputs"][0]["deployed"]["sqnr_db"] >= 20
    assert report["comparison"]["run"]["feeds"]["count"] == 7  # of 13
    assert any("tried on 6 feeds" in note and "the other 7 prove the result" in note for note in report["notes"])


def test_each_weight_says_what_the_next_smaller_choice_would_cost(made: Made) -> None:
    for line in (line for line in made.report["ledger"] if line["kind"] == "weight"):
        (detail,) = (o["detail"] for o in line["outcomes"] if o["by"] in ("quantize-weights", "share-weights"))
        assert "of the expected loss" in detail
        assert "would save" in detail or "no smaller choice" in detail


def test_the_recipe_makes_the_same_bytes(made: Made, tmp_path: Path) -> None:
    steps = tomllib.loads((made.folder / "s.toml").read_text())["steps"]
    assert [step["pass"] for step in steps] == ["slim-channels", "quantize-weights"]
    assert [rule["match"] for rule in steps[1]["rules"]] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert nncompress("run", made.folder / "s.toml", MLP, "-o", tmp_path / "r.onnx", "-q").exit_code == 0
    assert (tmp_path / "r.onnx").read_bytes() == (made.folder / "s.onnx").read_bytes()


def test_a_second_search_takes_what_was_measured_and_finds_the_same(made: Made, tmp_path: Path) -> None:
    kept = (made.folder / "s.search").read_bytes()
    limits = ("--min-sqnr", 20, "--min-cosine", 0.99, "--resume", made.folder / "s.search")
    assert nncompress("auto", MLP, "-o", tmp_path / "s.onnx", *GIVEN, *limits).exit_code == 0
    assert (made.folder / "s.search").read_bytes() == kept  # nothing was measured anew
    assert (tmp_path / "s.onnx").read_bytes() == (made.folder / "s.onnx").read_bytes()


def test_what_was_found_already_is_up_to_date(made: Made) -> None:
    limits = ("--min-sqnr", 20, "--min-cosine", 0.99, "--json", made.folder / "s.json", "--if-changed", "--force")
    ended = nncompress("auto", MLP, "-o", made.folder / "s.onnx", *GIVEN, *limits)
    assert (ended.exit_code, "is up to date" in ended.stdout) == (0, True)


@pytest.mark.slow
def test_another_budget_begins_where_the_last_one_ended(made: Made, tmp_path: Path) -> None:
    kept = tmp_path / "s.search"
    kept.write_bytes((made.folder / "s.search").read_bytes())
    limits = ("--min-sqnr", 18, "--min-cosine", 0.98, "--resume", kept)
    assert nncompress("auto", MLP, "-o", tmp_path / "s.onnx", *GIVEN, *limits).exit_code == 0
    assert (tmp_path / "s.onnx").stat().st_size < (made.folder / "s.onnx").stat().st_size
    before, after = (json.loads(path.read_text())["search"] for path in (made.folder / "s.search", kept))
    assert before["rates"].items() <= after["rates"].items()
    assert len(after["rates"]) <= len(before["rates"]) + 2  # of stronger ways to remove channels
    (targets,) = before["targets"].values()
    (more,) = after["targets"].values()
    assert more[: len(targets)] == targets


def test_other_limits_without_time_take_the_best_that_is_known(made: Made, tmp_path: Path) -> None:
    kept = tmp_path / "s.search"
    kept.write_bytes((made.folder / "s.search").read_bytes())
    limits = ("--min-sqnr", 18, "--min-cosine", 0.98, "--resume", kept, "--time", "0.01s")
    assert nncompress("auto", MLP, "-o", tmp_path / "s.onnx", *GIVEN, *limits).exit_code == 0
    assert (tmp_path / "s.onnx").stat().st_size <= (made.folder / "s.onnx").stat().st_size
    before, after = (json.loads(path.read_text())["search"] for path in (made.folder / "s.search", kept))
    assert (after["rates"], after["targets"]) == (before["rates"], before["targets"])
    (ended,) = after["limits"].values()
    assert len(ended) == len(set(ended)) > 1  # within these, too


def test_an_impossible_budget_fails_with_the_nearest_that_there_is(made: Made, tmp_path: Path) -> None:
    limits = ("--min-sqnr", 20, "--max-size", "2 kB", "--resume", made.folder / "s.search")
    ended = nncompress("auto", MLP, "-o", tmp_path / "s.onnx", *GIVEN, *limits)
    assert ended.exit_code == 1
    assert "failed: max-size" in last_line(ended.stdout)
    assert not (tmp_path / "s.onnx").exists()


@pytest.mark.slow
def test_a_size_alone_gets_the_closest_model_of_that_size(made: Made, tmp_path: Path) -> None:
    limits = ("--max-size", "40 kB", "--resume", made.folder / "s.search")
    assert nncompress("auto", MLP, "-o", tmp_path / "s.onnx", *GIVEN, *limits).exit_code == 0
    assert 36_000 < (tmp_path / "s.onnx").stat().st_size <= 40_000


def test_thirty_samples_promise_nothing(made: Made, tmp_path: Path) -> None:
    with np.load(IMAGES) as data:
        np.savez(tmp_path / "few.npz", **{name: data[name][:30] for name in data.files})
    given = ("--data", tmp_path / "few.npz", "--calibration", CALIBRATION, "--seconds", 0, "--max-drop", "0.5 %")
    ended = nncompress(
        "auto", MLP, "-o", tmp_path / "s.onnx", *given, "--time", "1s", "--resume", made.folder / "few.search",
        "--json", tmp_path / "s.json", "--keep-failed",
    )  # fmt: skip
    assert ended.exit_code in (0, 1)
    rules = {rule["rule"]: rule for rule in json.loads((tmp_path / "s.json").read_text())["verdict"]["rules"]}
    assert rules["promise"]["level"] == "warn"
    assert "too few to promise it" in rules["promise"]["advice"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-drop", "1 %"], "auto needs --data"),
        (GIVEN, "auto needs a limit to keep"),
        ([*GIVEN, "--max-drop", "1 %", "--time", "soon"], "--time 'soon' is no time such as 90s"),
        ([*GIVEN, "--max-drop", "1 %", "--resume", "-"], "--resume needs a file"),
        ([*GIVEN, "--max-drop", "1 %", "--for", "accuracy"], "the smallest model (size), the fastest (speed) or both"),
        ([*GIVEN, "--max-drop", "1 %", "--no-validate"], "leave out --no-validate"),
        ([*GIVEN, "--front", "models", "-o", "s.onnx"], "leave one of them out"),
        ([*GIVEN, "--front", "models", "--for", "speed"], "leave --for speed out"),
        ([*GIVEN, "--pick", "2"], "give its folder with --front"),
        ([*GIVEN, "--front", "models", "--pick", "2"], "name it with -o"),
        ([*GIVEN, "--front", "models", "--pick", "2", "--resume", "f"], "leave --resume out"),
        ([*GIVEN, "--front", "models", "--pick", "2", "--time", "1s"], "leave --time out"),
        ([*GIVEN, "--front", "models", "--pick", "2", "--jobs", "0"], "leave --jobs out"),
        ([*GIVEN, "--max-drop", "1 %", "--jobs", "-1"], "--jobs must be 0 (one a core) or more, not -1"),
        ([*GIVEN, "--max-drop", "1 %", "--dask", "tcp://127.0.0.1:1"], "say with --jobs into how many parts"),
        ([*GIVEN, "--max-drop", "1 %", "--for", "speed", "--jobs", "0"], "leave it out"),
        ([*GIVEN, "--front", "models", "--max-drop", "1 %"], "--max-drop is of one model"),
        ([*GIVEN, "--front", "models", "--dry-run"], "--dry-run is of one model"),
        ([*GIVEN, "--front", "models", "--json", "f.json"], "--json is of one model"),
        ([*GIVEN, "--front", "models", "--no-validate"], "--no-validate is of one model"),
        ([*GIVEN, "--max-drop", "1 %", "--resume", "s.onnx"], "would overwrite another file"),
        ([*GIVEN, "--front", "models", "--resume", "s.onnx"], "would overwrite another file"),
        ([*GIVEN, "--front", "models", "--resume", "models/front.json"], "would overwrite another file"),
        ([*GIVEN, "--min-sqnr", "7000"], "7000 dB is beyond 1000 dB"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_work(
    options: list[object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = nncompress("auto", MLP, *([] if "--front" in options else ["-o", "s.onnx"]), *options)
    assert ended.exit_code == 2
    assert message in one_line(ended.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_labels_the_recipe_can_be_run_too(tmp_path: Path) -> None:
    with np.load(IMAGES) as data:
        np.savez(tmp_path / "plain.npz", **{name: data[name][:100] for name in data.files if name != "labels"})
    given = ("--data", tmp_path / "plain.npz", "--calibration", CALIBRATION, "--seconds", 0, "--time", "1s", "-q")
    recipe = ("--max-drop", "5 %", "--save-recipe", tmp_path / "s.toml", "--keep-failed")
    assert nncompress("auto", MLP, "-o", tmp_path / "s.onnx", *given, *recipe).exit_code in (0, 1)
    assert nncompress("run", tmp_path / "s.toml", MLP, "-o", tmp_path / "r.onnx", "-q").exit_code == 0
    assert (tmp_path / "r.onnx").read_bytes() == (tmp_path / "s.onnx").read_bytes()


@pytest.mark.parametrize("name", ["front.json", "digits_mlp-07.onnx", "digits_mlp-07.toml"])
def test_a_front_is_not_written_over_what_is_there(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    ended = nncompress("auto", MLP, "--front", tmp_path, *GIVEN)
    assert ended.exit_code == 2
    assert f"{name} exists (--force overwrites it)" in one_line(ended.stderr)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.slow
def test_a_front_has_models_of_many_sizes_each_with_its_recipe(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "front"
    folder.mkdir()
    for name in ("digits_mlp-12.onnx", "digits_mlp-12.toml", "digits_mlp-12.onnx.0123abcd.data", "mine.onnx"):
        (folder / name).write_text("of an earlier front")
    ended = nncompress("auto", MLP, "--front", folder, *GIVEN, "--resume", made.folder / "s.search", "--force")
    assert ended.exit_code == 0
    (folder / "mine.onnx").unlink()
    assert not list(folder.glob("*.data"))
    models = sorted(folder.glob("*.onnx"))
    sizes = [path.stat().st_size for path in models]
    assert len(models) >= 8
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 8
    tree = json.loads((folder / "front.json").read_text())
    cosines = [row["worst_cosine"] for row in tree["results"] if row["on_front"]]
    assert cosines == sorted(cosines, reverse=True)
    picked = str(int(models[3].stem.rpartition("-")[2]))
    assert nncompress("auto", MLP, "--front", folder, "--pick", picked, "-o", tmp_path / "r.onnx").exit_code == 0
    assert (tmp_path / "r.onnx").read_bytes() == models[3].read_bytes()
    assert {path.stem for path in models} == {path.stem for path in folder.glob("*.toml")}
    assert ended.stdout.count(" |") == 12  # lines of the chart
    correlation = float(ended.stdout.rsplit("rank correlation ", 1)[1].split()[0])
    assert correlation >= 0.9


@pytest.mark.slow
def test_for_speed_another_time_takes_what_was_measured_and_finds_the_same(tmp_path: Path) -> None:
    for number in "12":
        command = ("auto", MLP, "-o", tmp_path / f"{number}.onnx", *GIVEN, "--for", "speed", "--max-drop", "1 %")
        assert nncompress(*command, "--resume", tmp_path / "s.search").exit_code == 0
        kept = json.loads((tmp_path / "s.search").read_text())["search"]
        assert all(kept[name] for name in ("runs", "profiles", "models"))
        assert sorted(tmp_path.glob("s.search.models/*/model.onnx"))
        if number == "1":
            first = kept
    assert kept == first
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()
