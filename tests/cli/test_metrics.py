"""Task metrics from the command line, a recipe and a budget: the same names and the same figures everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.support import IMAGES, MLP, SAMPLES, TOKENS, nncompress

RECIPE = '[[steps]]\npass = "prune-magnitude"\nsparsity = 0.8\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "r.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def metrics_of(path: str) -> dict[str, dict[str, object]]:
    run = json.loads(Path(path).read_text())["comparison"]["run"]
    return {metric["name"]: metric for metric in run["metrics"]}


def pruned(*options: object, report: str = "r.json") -> object:
    return nncompress(
        "run", "r.toml", MLP, "-o", "out.onnx", "--data", IMAGES, "--seconds", 0, "--force", "--json", report, *options
    )


def test_metrics_are_measured_by_name_and_classes_listed(here: Path) -> None:
    ended = pruned("--metric", "f1", "--metric", "top-3", "-v", "--markdown", "r.md", "--html", "r.html")
    assert ended.exit_code == 0, ended.stderr
    found = metrics_of("r.json")
    assert list(found) == ["f1", "top-3"]
    classes = found["f1"]["classes"]
    assert [one["label"] for one in classes] == list(range(10))
    assert sum(one["samples"] for one in classes) == found["f1"]["samples"] == 400
    lost = max(classes, key=lambda one: one["reference"] - one["candidate"])
    assert "Classes that lost most (f1; " in ended.stdout
    first = ended.stdout.partition("Classes that lost most")[2].splitlines()[2]
    assert first.split()[0] == str(lost["label"])
    for path in ("r.md", "r.html"):
        assert "Classes that lost most (f1; " in Path(path).read_text()


def test_top1_of_the_classes_adds_up_to_that_of_all(here: Path) -> None:
    assert pruned().exit_code == 0
    (metric,) = [m for name, m in metrics_of("r.json").items() if name == "top-1"]
    hits = sum(one["candidate"] * one["samples"] for one in metric["classes"])
    assert hits / metric["samples"] == pytest.approx(metric["candidate"])


def test_a_metric_of_ones_own_in_a_recipe_is_found_beside_it(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub/mine.py").write_text(
        "import numpy as np\n"
        "def accuracy(outputs, labels, inputs):\n"
        "    best = np.concatenate([next(iter(one.values())).argmax(-1) for one in outputs])\n"
        "    return np.mean(best == labels)\n"
    )
    (here / "sub/r.toml").write_text('[data]\nmetric = ["mine.py:accuracy", "top-1"]\n' + RECIPE)
    ended = nncompress(
        "run", "sub/r.toml", MLP, "-o", "out.onnx", "--data", IMAGES, "--seconds", 0, "--json", "r.json",
        "--save-recipe", "again.toml",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    found = metrics_of("r.json")
    assert found["accuracy"]["candidate"] == pytest.approx(found["top-1"]["candidate"])
    assert 'metric = ["sub/mine.py:accuracy", "top-1"]' in Path("again.toml").read_text()


def test_an_encoder_keeps_its_neighbours(here: Path) -> None:
    model = SAMPLES / "digits_transformer.onnx"
    ended = nncompress(
        "quantize", model, "-o", "q.onnx", "--data", TOKENS, "--metric", "recall@5", "--seconds", 0, "--json", "r.json"
    )
    assert ended.exit_code == 0, ended.stderr
    metric = metrics_of("r.json")["recall@5"]
    assert metric["samples"] > 100
    assert 0.9 < metric["candidate"] <= 1


def test_a_budget_limits_a_metric_by_name(here: Path) -> None:
    (here / "m.onnx").write_bytes(MLP.read_bytes())
    limits = f'path = "m.onnx"\ndata = "{IMAGES}"\nmetric = "f1"\n'
    (here / "nncompress.toml").write_text(f'[[budget]]\n{limits}min_metric = "90 %"\n')
    assert nncompress("check").exit_code == 0
    (here / "nncompress.toml").write_text(f'[[budget]]\n{limits}min_metric = "99.9 %"\n')
    failed = nncompress("check")
    assert failed.exit_code == 1
    assert re.search(r"FAIL +metric +f1 9", failed.stdout)


def test_a_budget_limits_an_error_from_above(here: Path) -> None:
    (here / "m.onnx").write_bytes(MLP.read_bytes())
    with np.load(IMAGES) as arrays:
        inputs = {name: arrays[name] for name in arrays if name != "labels"}
    count = len(next(iter(inputs.values())))
    np.savez(here / "d.npz", **inputs, labels=np.zeros((count, 10), np.float32))
    limits = 'path = "m.onnx"\ndata = "d.npz"\nmetric = "mse"\n'
    (here / "nncompress.toml").write_text(f"[[budget]]\n{limits}max_metric = 0.001\n")
    failed = nncompress("check")
    assert failed.exit_code == 1
    assert re.search(r"FAIL +max-metric +mse ", failed.stdout)
    assert " <= 0.001 (nncompress.toml) " in failed.stdout
    (here / "nncompress.toml").write_text(f"[[budget]]\n{limits}min_metric = 0.5\n")
    refused = nncompress("check")
    assert refused.exit_code == 2
    assert "min_metric: mse is better when it is lower, so limit it with max_metric" in refused.stderr


def test_a_limit_on_the_drop_of_an_error_is_relative(here: Path) -> None:
    with np.load(IMAGES) as arrays:
        inputs = {name: arrays[name] for name in arrays if name != "labels"}
    count = len(next(iter(inputs.values())))
    np.savez(here / "d.npz", **inputs, labels=np.zeros((count, 10), np.float32))
    ended = nncompress(
        "run", "r.toml", MLP, "-o", "out.onnx", "--data", "d.npz", "--metric", "mse", "--seconds", 0,
        "--max-drop", "0.1 %", "-v",
    )  # fmt: skip
    (line,) = [line for line in ended.stdout.splitlines() if line.split()[1:2] == ["drop"]]
    assert " worse, 400 samples)" in line


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--metric", "top1", "--data", IMAGES], 2, "unknown metric 'top1' (did you mean 'top-1'"),
        (["--metric", "f1"], 2, "--metric needs --data: a task is done on real samples"),
        (["--metric", "gone.py:f", "--data", IMAGES], 2, "metric 'gone.py:f': there is no file gone.py"),
        (["--metric", "gone:f", "--data", IMAGES], 2, "metric 'gone:f' cannot be imported: ModuleNotFoundError"),
        (["--metric", "top-1", "--metric-output", "logit", "--data", IMAGES], 2, "the model has no output 'logit'"),
        (["--metric", "token-error-rate", "--data", IMAGES], 3, "token-error-rate needs labels [samples, tokens]"),
    ],
)
def test_what_is_wrong_with_a_metric_is_one_line(here: Path, options: list, code: int, message: str) -> None:
    ended = nncompress("quantize", MLP, "-o", "q.onnx", "--seconds", 0, *options)
    assert ended.exit_code == code
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not Path("q.onnx").exists()


def test_metrics_can_be_set_from_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNCOMPRESS_METRIC", "f1 top-1")
    assert pruned().exit_code == 0
    assert list(metrics_of("r.json")) == ["f1", "top-1"]
