"""--calibration end to end: what it appends, what it refuses, what the report says, and the same bytes every time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import IMAGES, SAMPLES, nncompress, nncompress_process, one_line

CNN = SAMPLES / "digits_cnn.onnx"
CALIBRATION = SAMPLES / "data/image_calibration.npz"
PLAIN = ("--data", IMAGES, "--seconds", 0)
CALIBRATED = (*PLAIN, "--calibration", CALIBRATION)


def report_of(*arguments: object) -> dict[str, Any]:
    ended = nncompress(*arguments, "--json", "-")
    assert ended.exit_code == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def relative_error(report: dict[str, Any]) -> float:
    (output,) = report["comparison"]["run"]["outputs"]
    return float(output["deployed"]["relative_error"])


@pytest.mark.slow
def test_quantize_corrects_biases_where_there_are_data_for_it(tmp_path: Path) -> None:
    plain = report_of("quantize", CNN, "-o", tmp_path / "plain.onnx", *PLAIN)
    report = report_of("quantize", CNN, "-o", tmp_path / "o.onnx", *CALIBRATED)
    assert plain["passes"] == ["quantize-weights"]
    assert report["passes"] == ["quantize-weights", "correct-biases"]
    assert relative_error(report) < 0.8 * relative_error(plain)
    done = "range and zero points of 6 weights were chosen by output error, the biases of 6 weights were corrected"
    assert f"{done} on 7 feeds of {CALIBRATION}" in report["notes"]
    options = dict(report["options"])
    assert options["calibration"] == str(CALIBRATION)
    assert len(options["calibration_sha256"]) == 64
    lines = [line for line in report["ledger"] if line["kind"] == "weight"]
    assert all(line["output_sqnr_db"] > 30 for line in lines)
    assert [outcome["by"] for outcome in lines[0]["outcomes"]] == ["quantize-weights", "correct-biases"]
    assert all(line["output_sqnr_db"] is None for line in plain["ledger"])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["prune", "factorize"])
def test_the_other_commands_do_so_too(command: str, tmp_path: Path) -> None:
    options = {"prune": ["--sparsity", 0.3], "factorize": ["--ratio", 0.5, "--min-size", 256]}[command]
    mlp, out = SAMPLES / "digits_mlp.onnx", tmp_path / "o.onnx"
    plain = report_of(command, mlp, "-o", out, *options, *PLAIN)
    report = report_of(command, mlp, "-o", out, "--force", *options, *CALIBRATED)
    assert report["passes"] == [*plain["passes"], "correct-biases"]
    assert relative_error(report) < relative_error(plain)
    chosen = "weights were chosen by what the weight computes (obs)"
    assert any(chosen in note for note in report["notes"]) == (command == "prune")


def test_where_data_decide_nothing_there_is_what_there_is_without_calibration(tmp_path: Path) -> None:
    fixed = ("--range", "minmax", "--symmetric", "--no-validate")
    for name, options in (("a", ()), ("b", ("--calibration", CALIBRATION, "--no-correct-biases"))):
        assert nncompress("quantize", CNN, "-o", tmp_path / name, *fixed, *options).exit_code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.slow
def test_a_recipe_runs_what_it_says_and_the_saved_one_equals_the_command(tmp_path: Path) -> None:
    recipe, out = tmp_path / "saved.toml", tmp_path / "o.onnx"
    assert nncompress("quantize", CNN, "-o", out, "--no-validate", *CALIBRATED, "--save-recipe", recipe).exit_code == 0
    assert recipe.read_text().count("correct-biases") == 1
    assert "calibration = " in recipe.read_text()
    assert nncompress("run", recipe, CNN, "-o", tmp_path / "again.onnx", "--no-validate").exit_code == 0
    assert (tmp_path / "again.onnx").read_bytes() == out.read_bytes()
    calibrated = (CNN, "--no-validate", "--calibration", CALIBRATION)
    assert nncompress("run", "-p", "quantize-weights", *calibrated, "-o", tmp_path / "plain.onnx").exit_code == 0
    alone = ("quantize", *calibrated, "--no-correct-biases", "-o", tmp_path / "plain2.onnx")
    assert nncompress(*alone).exit_code == 0
    assert (tmp_path / "plain.onnx").read_bytes() == (tmp_path / "plain2.onnx").read_bytes()


@pytest.mark.slow
def test_the_same_bytes_on_any_number_of_threads_and_in_this_process(tmp_path: Path) -> None:
    ways = {
        "a": ((), "1", 1), "b": ((), "2", 2), "c": (("--in-process",), "2", 1),
    }  # fmt: skip
    for name, (first, blas, threads) in ways.items():
        env = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), blas)
        more = ("-o", tmp_path / name, "--calibration", CALIBRATION, "--no-validate", "--threads", threads)
        ended = nncompress_process(*first, "quantize", CNN, *more, env=env)
        assert ended.exit_code == 0, ended.stderr
    assert len({(tmp_path / name).read_bytes() for name in ways}) == 1


@pytest.mark.slow
def test_if_changed_sees_other_calibration_data(tmp_path: Path) -> None:
    data, out, report = tmp_path / "c.npz", tmp_path / "o.onnx", tmp_path / "o.json"
    shutil.copy(CALIBRATION, data)
    command = (
        "quantize",
        CNN,
        "-o",
        out,
        "--no-validate",
        "--calibration",
        data,
        "--json",
        report,
        "--if-changed",
        "--force",
    )
    assert nncompress(*command).exit_code == 0
    before = out.read_bytes()
    assert "up to date" in nncompress(*command).stdout
    shutil.copy(IMAGES, data)
    assert "up to date" not in nncompress(*command).stdout
    assert out.read_bytes() != before


@pytest.mark.slow
def test_of_data_alone_a_part_calibrates(tmp_path: Path) -> None:
    steps = ("run", "-p", "quantize-weights", "-p", "correct-biases", CNN, "-o", tmp_path / "o.onnx")
    with np.load(IMAGES) as arrays:
        np.savez(tmp_path / "d.npz", **{name: array[:200] for name, array in arrays.items()})
    report = report_of(*steps, "--data", tmp_path / "d.npz", "--seconds", 0)
    feeds = report["comparison"]["run"]["feeds"]
    said = f"2 of the 7 feeds of {tmp_path / 'd.npz'} (one of 4) calibrate, and only the other 5 prove the result"
    assert (feeds["count"], said in report["notes"]) == (5, True)
    assert report["comparison"]["run"]["metrics"][0]["samples"] == 200 - 2 * 32


@pytest.mark.slow
def test_made_up_samples_are_asked_for_by_option_or_recipe(tmp_path: Path) -> None:
    recipe, plain = tmp_path / "r.toml", tmp_path / "plain.toml"
    steps = '[[steps]]\npass = "quantize-weights"\n[[steps]]\npass = "correct-biases"\n'
    plain.write_text(steps)
    recipe.write_text(f'[data]\ncalibration = "synthetic"\n{steps}')
    saved = tmp_path / "saved.toml"
    ways: list[tuple[object, ...]] = [
        ("run", plain, CNN, "--calibration", "synthetic", "--save-recipe", saved), ("run", recipe, CNN),
        ("run", saved, CNN),
    ]  # fmt: skip
    made = set()
    for place, way in enumerate(ways):
        out = tmp_path / f"{place}.onnx"
        report = report_of(*way, "-o", out, *PLAIN)
        assert any("16 MADE-UP feeds (seed 0), not on real samples" in note for note in report["notes"])
        assert "calibration" in {rule["rule"] for rule in report["verdict"]["rules"] if rule["level"] == "warn"}
        made.add(out.read_bytes())
    assert len(made) == 1
    assert '\ncalibration = "synthetic"\n' in saved.read_text()


def test_made_up_samples_do_not_move_biases_by_themselves(tmp_path: Path) -> None:
    command = ("quantize", CNN, "-o", tmp_path / "o.onnx", "--no-validate", "--calibration", "synthetic")
    assert report_of(*command)["passes"] == ["quantize-weights"]


# ------------------------------------------------------------------------------------------------ what is refused
def refused(code: int, *arguments: object) -> str:
    ended = nncompress(*arguments)
    assert ended.exit_code == code
    return one_line(ended.stderr)


def test_a_pass_that_needs_calibration_is_refused_without_it_before_any_work(tmp_path: Path) -> None:
    said = refused(
        2, "run", "-p", "quantize-weights", "-p", "correct-biases", tmp_path / "none.onnx", "-o", tmp_path / "o"
    )
    assert said == (
        "nncompress: error: correct-biases needs --calibration: samples like those that the model will be used on (or "
        "--data alone, of which a part then calibrates)"
    )


@pytest.mark.parametrize("asked", [["--for", "speed"], ["--activations", "static"], ["--activations", "mixed"]])
def test_ranges_without_samples_are_refused_before_any_work(asked: list[str], tmp_path: Path) -> None:
    assert refused(2, "quantize", tmp_path / "none.onnx", "-o", tmp_path / "o.onnx", *asked) == (
        "nncompress: error: quantize-activations needs --calibration: samples like those that the model will be used "
        "on (or --data alone, of which a part then calibrates)"
    )


def test_a_choice_by_measurement_is_refused_where_nothing_may_be_run(tmp_path: Path) -> None:
    said = refused(
        2, "quantize", CNN, "-o", tmp_path / "o.onnx", "--for", "speed", "--calibration", CALIBRATION, "--no-validate"
    )
    assert said.startswith(
        "nncompress: error: --activations mixed (which --for speed means) runs models to choose: leave out"
    )


def test_one_feed_alone_is_refused_before_any_pass_works(tmp_path: Path) -> None:
    with np.load(CALIBRATION) as arrays:
        np.savez(tmp_path / "one.npz", **{name: array[:1] for name, array in arrays.items()})
    said = refused(2, "quantize", CNN, "-o", tmp_path / "o.onnx", "--calibration", tmp_path / "one.npz")
    assert said == (
        f"nncompress: error: correct-biases needs at least 2 calibration feeds; {tmp_path / 'one.npz'} has 1"
    )


def test_data_that_no_pass_asks_for_are_not_read_and_the_report_says_so(tmp_path: Path) -> None:
    missing = tmp_path / "nothing.npz"
    step = "prune-magnitude:method=magnitude"
    report = report_of("run", "-p", step, CNN, "-o", tmp_path / "o.onnx", *PLAIN, "--calibration", missing)
    able = "prune-magnitude, quantize-activations, binarize, quantize-weights, share-weights, correct-biases do"
    (note,) = (note for note in report["notes"] if str(missing) in note)
    assert note.startswith(f"{missing} was not read: no pass makes use of calibration data (")
    assert note.endswith(f"migrate-scales, {able})")


def test_the_samples_of_the_proof_are_no_samples_to_calibrate_on(tmp_path: Path) -> None:
    command = ("quantize", CNN, "-o", tmp_path / "o.onnx", "--data", IMAGES, "--calibration")
    why = "the same sample never serves both, for a result has to prove itself on data that it has not seen"
    assert refused(2, *command, IMAGES) == f"nncompress: error: --calibration and --data are both {IMAGES}: {why}"
    other = tmp_path / "other.npz"
    shutil.copy(IMAGES, other)
    said = f"nncompress: error: feed 1 of --calibration {other} is feed 1 of --data {IMAGES}: {why}"
    assert refused(2, *command, other) == said


def test_data_that_are_missing_or_do_not_fit_are_errors(tmp_path: Path) -> None:
    command = ("quantize", CNN, "-o", tmp_path / "o.onnx", "--no-validate", "--calibration")
    assert "none.npz: no such file" in refused(3, *command, tmp_path / "none.npz")
    assert "is no input of the model" in refused(3, *command, SAMPLES / "data/tokens_calibration.npz")


def test_the_result_never_goes_over_the_data(tmp_path: Path) -> None:
    data = tmp_path / "c.npz"
    shutil.copy(CALIBRATION, data)
    said = refused(2, "quantize", CNN, "-o", data, "--force", "--calibration", data)
    assert "is an input of this command: inputs are never modified" in said


def test_what_keeps_statistics_is_no_place_for_anything_else(tmp_path: Path) -> None:
    command = ("quantize", CNN, "--no-validate", "--calibration", CALIBRATION, "--calibration-cache")
    same = tmp_path / "same"
    said = refused(2, *command, same, "-o", same)
    assert "is an input of this command: inputs are never modified" in said
    said = refused(2, *command, same, "-o", tmp_path / "o.onnx", "--json", same)
    assert "would overwrite another file of this command" in said
    said = refused(3, *command, CALIBRATION, "-o", tmp_path / "o.onnx")
    assert said.endswith(f"{CALIBRATION} is no calibration cache: name a new file, or delete this one")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_sweep_calibrates_each_model_on_its_own_data(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        '[data]\ncalibration = "{stem}.npz"\n[[steps]]\npass = "quantize-weights"\n[[steps]]\npass = "correct-biases"\n'
    )
    shutil.copy(CALIBRATION, tmp_path / "digits_cnn.npz")
    ended = nncompress("sweep", CNN, "--recipe", recipe, "-o", tmp_path / "results", "--no-validate")
    assert ended.exit_code == 0, ended.stderr
    report = json.loads((tmp_path / "results/digits_cnn--r.json").read_text())
    assert report["passes"] == ["quantize-weights", "correct-biases"]
    assert dict(report["options"])["calibration"] == str(tmp_path / "digits_cnn.npz")
