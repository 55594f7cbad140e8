"""What `import nncompress` promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import nncompress
from nncompress.errors import InputError, NoOutputError, UsageError
from tests.support import IMAGES, MLP, SAMPLES, dense_model, files_in


def test_everything_that_is_promised_is_there() -> None:
    assert sorted(nncompress.__all__) == nncompress.__all__
    assert dir(nncompress) == nncompress.__all__
    for name in nncompress.__all__:
        assert getattr(nncompress, name).__doc__, f"{name} is not documented"


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
    with pytest.raises(UsageError, match=r"quantize-weights: .* at|sparsity must lie between 0 and 1, not at 2"):
        nncompress.compress(model, [nncompress.PruneMagnitude(sparsity=2)])
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


def test_biases_are_corrected_on_samples(tmp_path: Path) -> None:
    model, passes = nncompress.load(MLP), [nncompress.QuantizeWeights(), nncompress.CorrectBiases()]
    small = nncompress.compress(model, passes, calibration=SAMPLES / "data/image_calibration.npz")
    assert all(line.output_sqnr_db for line in small.ledger if line.kind == "weight")
    with pytest.raises(nncompress.NncompressError, match="correct-biases needs --calibration"):
        nncompress.compress(model, passes)
