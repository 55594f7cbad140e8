"""What `import nncompress` promises."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import nncompress
from nncompress.errors import InputError, NoOutputError, UsageError
from nncompress.passes import ALL_PASSES
from tests.support import IMAGES, MLP, ROOT, SAMPLES, dense_model, files_in


def test_everything_that_is_promised_is_there() -> None:
    assert sorted(nncompress.__all__) == nncompress.__all__
    assert dir(nncompress) == nncompress.__all__
    for name in nncompress.__all__:
        assert getattr(nncompress, name).__doc__, f"{name} is not documented"
    assert {kind.__name__ for kind in ALL_PASSES} <= set(nncompress.__all__)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'nncompress' has no attribute 'quantise'"):
        _ = nncompress.quantise


def test_a_model_is_loaded_compressed_saved_and_compared(tmp_path: Path) -> None:
    model = nncompress.load(MLP)
    small = nncompress.compress(model, [nncompress.QuantizeWeights()])
    nncompress.save(small, tmp_path / "small.onnx")
    report = nncompress.compare(MLP, tmp_path / "small.onnx", data=IMAGES)
    assert report.verdict.level == "pass"
    assert report.comparison.size_ratio > 3.7
    assert report.comparison.candidate.file_bytes == (tmp_path / "small.onnx").stat().st_size
    assert report.comparison.run is not None
    assert report.comparison.run.feeds.source == str(IMAGES)
    assert files_in(tmp_path) == {"small.onnx"}


def test_a_path_and_a_message_of_onnx_are_models_too() -> None:
    passes = [nncompress.QuantizeWeights()]
    made = [nncompress.compress(given, passes) for given in (MLP, str(MLP), onnx.load(MLP), nncompress.load(MLP))]
    blobs = {nncompress.to_proto(model).SerializeToString(deterministic=True) for model in made}
    assert len(blobs) == 1


def test_the_message_of_a_model_is_the_file_that_would_be_saved(tmp_path: Path) -> None:
    small = nncompress.compress(MLP, [nncompress.PruneMagnitude(sparsity=0.9), nncompress.QuantizeWeights()])
    nncompress.save(small, tmp_path / "small.onnx")
    assert nncompress.to_proto(small) == onnx.load(tmp_path / "small.onnx")
    onnx.checker.check_model(nncompress.to_proto(small), full_check=True)


def test_a_message_is_checked_as_a_file_is(tmp_path: Path) -> None:
    hollow, empty = onnx.load(MLP), onnx.ModelProto(ir_version=8)
    hollow.graph.initializer[0].ClearField("raw_data")
    with pytest.raises(InputError, match="the ModelProto: "):
        nncompress.compress(hollow, [nncompress.QuantizeWeights()])
    with pytest.raises(InputError, match="the ModelProto: it is not an ONNX model: it holds no graph"):
        nncompress.compress(empty, [nncompress.QuantizeWeights()])
    onnx.save(onnx.load(MLP), tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    beside = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    with pytest.raises(InputError, match="names data files that it does not hold: give the path of the model"):
        nncompress.compress(beside, [nncompress.QuantizeWeights()])
    with pytest.raises(UsageError, match=r"a model is a path, an onnx\.ModelProto or .*, not int"):
        nncompress.compress(3, [nncompress.QuantizeWeights()])


def test_a_comparison_takes_labels_metrics_and_limits(tmp_path: Path) -> None:
    nncompress.save(nncompress.compress(MLP, [nncompress.QuantizeWeights()]), tmp_path / "small.onnx")
    np.savez(tmp_path / "labels.npz", labels=np.load(IMAGES)["labels"])
    report = nncompress.compare(
        MLP, tmp_path / "small.onnx", data=IMAGES, labels=tmp_path / "labels.npz", metrics=["f1"], seconds=0,
        limits={"max_drop": "0.5 %", "min_cosine": 0.9, "max_size": "1 kB"},
    )  # fmt: skip
    assert report.comparison.run is not None
    assert [metric.name for metric in report.comparison.run.metrics] == ["f1"]
    assert {rule.rule for rule in report.verdict.rules if rule.level == "fail"} == {"max-size"}
    assert report.verdict.level == "fail"


def test_a_report_is_text_for_people_and_for_programs() -> None:
    report = nncompress.compare(MLP, MLP, seconds=0)
    assert isinstance(report, nncompress.Report)
    assert report.html().startswith("<!DOCTYPE html>")
    assert "latency" in report.markdown()
    assert json.loads(report.to_json())["summary"]["level"] == report.verdict.level


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": {"max_drp": "1 %"}}, r"unknown limit 'max_drp' \(did you mean 'max_drop'\?\); there are: "),
        ({"limits": {"max_size": "ten"}}, "max_size: 'ten' is not a size such as '4 MB'"),
        ({"limits": {"min_cosine": 2}}, "min_cosine: 2 is no cosine"),
        ({"labels": "l.npz"}, "labels and metrics need data"),
        ({"metrics": ["f1"]}, "labels and metrics need data"),
        ({"metrics": "f1", "data": IMAGES}, r"metrics are given as a list, such as \['f1'\]"),
        ({"seconds": -1}, "seconds must be 0"),
    ],
)
def test_a_comparison_that_cannot_be_meant_is_refused_before_anything_runs(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nncompress.compare("missing.onnx", "missing.onnx", **options)


def test_models_in_memory_have_to_be_saved_to_be_compared() -> None:
    with pytest.raises(UsageError, match="models to compare are paths, not Model: save one"):
        nncompress.compare(MLP, nncompress.load(MLP))


def test_a_pass_with_impossible_options_cannot_be_made() -> None:
    with pytest.raises(UsageError, match=r"^quantize-weights: bits must be 2, 3, 4, 5, 6, 7 or 8, not 9$"):
        nncompress.QuantizeWeights(bits=9)
    with pytest.raises(UsageError, match=r"^prune-magnitude: sparsity must lie between 0 and 1, not at 2\.0$"):
        nncompress.PruneMagnitude(sparsity=2)


def test_the_version_is_that_of_the_package() -> None:
    assert nncompress.__version__ == version("nncompress")


@pytest.mark.slow
def test_the_types_are_there_for_those_who_check_them(tmp_path: Path) -> None:
    """What mypy makes of a program that uses the package."""
    program = tmp_path / "program.py"
    program.write_text(
        "import nncompress\n"
        "small: nncompress.Model = nncompress.compress('m.onnx', [nncompress.QuantizeWeights(dtype='uint8')])\n"
        "text: str = nncompress.compare('m.onnx', 'n.onnx', limits={'max_drop': '1 %'}).html()\n"
        "nncompress.QuantizeWeights(dtype='int7')\n"
        "number: int = nncompress.__version__\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert [line.partition("program.py:")[2][0] for line in ended.stdout.splitlines() if ": error:" in line] == [
        "4",
        "5",
    ]


def test_paths_may_be_text(tmp_path: Path) -> None:
    path = str(tmp_path / "copy.onnx")
    nncompress.save(nncompress.load(str(MLP)), path)
    first, second = (
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer}
        for file in (MLP, path)
    )
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_the_given_model_stays_as_it_was() -> None:
    model = nncompress.load(MLP)
    before = {name: value.const_value.numpy().copy() for name, value in model.ir.graph.initializers.items()}
    nncompress.compress(model, [nncompress.PruneMagnitude(sparsity=0.9), nncompress.QuantizeWeights()])
    after = {name: value.const_value.numpy() for name, value in model.ir.graph.initializers.items()}
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])


def test_the_ledger_of_the_result_names_every_weight() -> None:
    small = nncompress.compress(nncompress.load(MLP), [nncompress.QuantizeWeights()])
    done = {line.name: line.form for line in small.ledger if line.kind == "weight"}
    assert {"fc1.weight", "fc2.weight", "fc3.weight"} <= set(done)
    assert done["fc2.weight"] == "folded"


def test_nothing_to_do_is_no_error_but_an_unchanged_model(tmp_path: Path) -> None:
    tiny = nncompress.load(dense_model(tmp_path / "tiny.onnx", [("w", 4, 4)]))
    same = nncompress.compress(tiny, [nncompress.QuantizeWeights()])
    assert [node.op_type for node in same.ir.graph] == ["MatMul", "Relu"]
    (line,) = (line for line in same.ledger if line.kind == "weight")
    assert "fewer than 64 elements" in line.outcomes[0].reason


def test_deliberate_errors_have_one_base() -> None:
    assert all(issubclass(kind, nncompress.NncompressError) for kind in (UsageError, InputError, NoOutputError))


def test_mistakes_are_deliberate_errors(tmp_path: Path) -> None:
    model = nncompress.load(MLP)
    with pytest.raises(UsageError, match="no passes given"):
        nncompress.compress(model, [])
    with pytest.raises(UsageError, match="the order that works: prune-magnitude, quantize-weights"):
        nncompress.compress(model, [nncompress.QuantizeWeights(), nncompress.PruneMagnitude()])
    with pytest.raises(InputError, match="no such file"):
        nncompress.load(tmp_path / "missing.onnx")
    with pytest.raises(UsageError, match="is the input itself"):
        nncompress.save(model, MLP, force=True)
    (tmp_path / "there.onnx").touch()
    with pytest.raises(UsageError, match="exists"):
        nncompress.save(model, tmp_path / "there.onnx")
    with pytest.raises(NoOutputError, match="does not exist"):
        nncompress.save(model, tmp_path / "nowhere" / "small.onnx")
    assert files_in(tmp_path) == {"there.onnx"}


@pytest.mark.slow
def test_biases_are_corrected_on_samples(tmp_path: Path) -> None:
    model, passes = nncompress.load(MLP), [nncompress.QuantizeWeights(), nncompress.CorrectBiases()]
    small = nncompress.compress(model, passes, calibration=SAMPLES / "data/image_calibration.npz")
    assert all(line.output_sqnr_db for line in small.ledger if line.kind == "weight")
    with pytest.raises(nncompress.NncompressError, match="correct-biases needs --calibration"):
        nncompress.compress(model, passes)
