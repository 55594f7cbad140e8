"""`bench` measures models in turns, and each session in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nncompress.results.record import Loaded
from nncompress.runtime.cost import energy_mj, measure_loading
from nncompress.workflow import bench as benching
from tests.support import IMAGES, MLP, SAMPLES, nncompress, one_line

CNN = SAMPLES / "digits_cnn.onnx"


@pytest.mark.slow
def test_all_figures_are_there_with_their_samples(tmp_path: Path) -> None:
    saved = tmp_path / "bench.json"
    ended = nncompress("bench", CNN, MLP, "--seconds", 0.2, "--data", IMAGES, "--json", saved)
    assert (ended.exit_code, ended.stderr) == (0, "")
    for part in (str(CNN), str(MLP), "ratio to the first", "Horowitz", f"data: {IMAGES}"):
        assert part in ended.stdout
    report = json.loads(saved.read_text())
    first, second = report["models"]
    assert len(first["latency"]["samples_ms"]) == len(second["latency"]["samples_ms"]) >= 2
    assert first["ratio"] == 1
    assert second["ratio"] < 1  # a tenth of the work
    assert first["load_ms"] > 0
    assert first["inputs"] == ["image float32 32×1×8×8"]
    if first["peak_bytes"] is not None:  # Linux
        assert 1e5 < first["peak_bytes"] < 1e9
    assert first["energy"]["kind"] in ("measured", "estimated")


def test_json_on_stdout_is_alone_there() -> None:
    ended = nncompress("bench", MLP, "--seconds", 0.05, "--json", "-")
    assert json.loads(ended.stdout)["data"] == "synthetic"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([MLP, "--seconds", 0], 2, "--seconds must be above 0"),
        (["gone.onnx"], 3, "gone.onnx"),
        ([MLP, "--json", MLP], 2, "would overwrite another file"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[object], code: int, message: str) -> None:
    ended = nncompress("bench", *arguments)
    assert (ended.exit_code, message in one_line(ended.stderr)) == (code, True)


def test_energy_is_what_the_counter_of_the_package_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nncompress.runtime.cost._ENERGY_S", 0.001)
    counter, calls = tmp_path / "energy_uj", [0]
    (tmp_path / "max_energy_range_uj").write_text("1000000\n")
    counter.write_text("999000\n")

    def call() -> None:
        calls[0] += 1
        counter.write_text(f"{(999_000 + 2000 * calls[0]) % 1_000_000}\n")  # wraps around at the first call

    assert energy_mj(call, tmp_path) == pytest.approx(2.0) or calls[0] >= 500
    assert energy_mj(call, tmp_path / "nowhere") is None


def test_measured_energy_comes_before_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "loading_in_child", lambda *_: Loaded(1.0, None, 2.5))
    monkeypatch.setattr("os.getloadavg", lambda: (100.0, 0.0, 0.0))
    ended = nncompress("bench", MLP, "--seconds", 0.05)
    assert "2.5 mJ measured" in ended.stdout
    assert "RAPL" in ended.stdout
    assert "not measured" in ended.stdout  # the peak
    assert "NOISE: the load of this machine was 100.0" in ended.stdout


def test_loading_is_measured_with_one_run() -> None:
    import numpy as np

    found = measure_loading(MLP, {"image": np.zeros((1, 1, 8, 8), np.float32)}, 1)
    assert found.load_ms > 0
