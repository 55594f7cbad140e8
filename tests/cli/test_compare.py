"""`nncompress compare`: judges a second file against the first and writes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models import noise, proto_of, saved
from tests.support import IMAGES, MLP, SAMPLES, dense_model, files_in, nncompress, one_line


@pytest.fixture
def small(out: Path) -> Path:
    assert nncompress("quantize", MLP, "-o", out, "--no-validate").exit_code == 0
    return out


def test_a_good_copy_passes_and_nothing_is_written(small: Path) -> None:
    ended = nncompress("compare", MLP, small, "--data", IMAGES, "--seconds", 0, "-q")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert one_line(ended.stdout).startswith("PASS  digits_mlp.onnx -> small.onnx: 3.")
    assert files_in(small.parent) == {"small.onnx"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "rule"),
    [
        (["--min-cosine", 0.9999999], "cosine"),
        (["--min-sqnr", 200], "sqnr"),
        (["--min-sample-cosine", 0.9999999], "sample-cosine"),
        (["--min-sample-sqnr", 200], "sample-sqnr"),
        (["--max-size", "10 kB"], "max-size"),
        (["--min-ratio", 10], "ratio"),
    ],
)
def test_a_missed_gate_ends_with_1(gate: list[object], rule: str, small: Path) -> None:
    ended = nncompress("compare", MLP, small, "--data", IMAGES, "--seconds", 0, "-q", *gate)
    assert ended.exit_code == 1
    assert one_line(ended.stdout).endswith(f"failed: {rule}")
    assert one_line(ended.stderr).startswith(f"nncompress: {rule} failed: ")


@pytest.mark.slow
def test_a_larger_candidate_is_a_warning(small: Path) -> None:
    ended = nncompress("compare", small, MLP, "--data", IMAGES, "--seconds", 0, "-q")
    assert ended.exit_code == 0
    assert one_line(ended.stdout).startswith("WARN  small.onnx -> digits_mlp.onnx: 3.")
    assert "larger" in ended.stdout


def test_a_model_with_another_interface_fails(tmp_path: Path) -> None:
    first = dense_model(tmp_path / "first.onnx", [("w", 16, 16)])
    second = dense_model(tmp_path / "second.onnx", [("w", 16, 16), ("v", 16, 8)])
    ended = nncompress("compare", first, second, "--seconds", 0, "-q")
    assert ended.exit_code in {1, 4}
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("nncompress: ")


def test_a_missing_reference_and_a_missing_candidate_end_with_3(tmp_path: Path) -> None:
    for pair in ([tmp_path / "missing.onnx", MLP], [MLP, tmp_path / "missing.onnx"]):
        ended = nncompress("compare", *pair)
        assert (ended.exit_code, ended.stdout) == (3, "")
        assert one_line(ended.stderr) == f"nncompress: error: cannot read {tmp_path / 'missing.onnx'}: no such file"


@pytest.mark.slow
def test_a_model_with_external_data_is_compared_from_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    wide = SAMPLES / "digits_wide" / "model.onnx"
    ended = nncompress("compare", wide, wide, "--data", IMAGES, "--seconds", 0, "-q")
    assert ended.exit_code == 0
    assert "outputs identical" in one_line(ended.stdout)
    assert files_in(tmp_path) == set()


@pytest.mark.slow
@pytest.mark.parametrize("stated", ["float[N,64]", "float[]"])
def test_what_a_refusal_of_made_up_inputs_advises_works(stated: str, tmp_path: Path) -> None:
    """A number of samples that nobody would guess, once with a free dimension and once without a shape."""
    body = f"g ({stated} x) => (float[] y) {{ r = Reshape(x, shape) y = MatMul(r, w) }}"
    path = saved(proto_of(body, shape=np.array([-1, 43, 64]), w=noise(64, 64)), tmp_path / "m.onnx")
    compare = ("compare", path, path, "--seconds", 0, "-q")
    ended = nncompress(*compare)
    assert ended.exit_code == 3
    name = "N" if "N" in stated else "x:0"
    assert f"; give --data, or --dim NAME=SIZE for '{name}'" in one_line(ended.stderr)
    more = [] if "N" in stated else ["--dim", "x:1=64"]
    for advised in (["--dim", f"{name}=86", *more], ["--data", tmp_path / "feeds"]):
        (tmp_path / "feeds").mkdir(exist_ok=True)
        np.savez(tmp_path / "feeds" / "0.npz", x=noise(43, 64))
        ended = nncompress(*compare, *advised)
        assert (ended.exit_code, ended.stderr) == (0, "")
    fixed = proto_of(body.replace(stated, "float[44,64]", 1), shape=np.array([43, 64]), w=noise(64, 64))
    ended = nncompress("compare", saved(fixed, path), path)
    assert one_line(ended.stderr).endswith("; give --data")
