"""What compressing says about its steps: sizes between the passes that lead to the file, and no work for one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nncompress.workflow.pipeline as module
from nncompress.model.constants import find_constants
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from nncompress.report.charts.waterfall import waterfall
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.pipeline import compress_graph
from nncompress.workflow.proof import Proof
from tests.models import linear, model_of, noise
from tests.support import SAMPLE_DATA, SAMPLES

CHAIN: list[Pass] = [Factorize(ratio=0.7), PruneMagnitude(sparsity=0.5), QuantizeWeights()]


def stored_bytes(passes: list[Pass], form: str) -> int:
    """Bytes of all constants after these passes and `store`."""
    compressed = compress_graph(MODEL, passes, form=form)
    return sum(tensor.nbytes for _, tensor, _ in find_constants(compressed.model))


BODY = "g (float[2,80] x) => (float[2,80] y) { a = MatMul(x, u) b = MatMul(a, v) c = MatMul(b, w) y = Add(c, d) }"
SAME = noise(80, 80)
MODEL = model_of(BODY, u=SAME, v=SAME.copy(), w=noise(80, 80, seed=1), d=noise(80))


@pytest.mark.parametrize("form", ["folded", "dequantize"])
def test_each_step_is_what_would_be_stored_if_the_passes_ended_there(form: str) -> None:
    steps = compress_graph(MODEL, CHAIN, form=form).steps
    assert [step.name for step in steps] == ["normalise", "factorize", "prune-magnitude"]
    assert steps[0].size_bytes == 4 * (2 * 80 * 80 + 80)  # u and v are one
    assert steps[1].size_bytes == stored_bytes(CHAIN[:1], form)
    assert steps[2].size_bytes == stored_bytes(CHAIN[:2], form)


def test_one_pass_has_no_steps_and_nothing_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, "constant_bytes")
    assert compress_graph(linear(noise(64, 64)), [QuantizeWeights()]).steps == ()


def test_the_same_pass_twice_is_two_steps() -> None:
    chain = [PruneMagnitude(sparsity=0.3), PruneMagnitude(sparsity=0.6)]
    steps = compress_graph(linear(noise(64, 64)), chain).steps
    assert [step.name for step in steps] == ["normalise", "prune-magnitude"]


def test_a_model_that_is_too_old_has_no_steps() -> None:
    compressed = compress_graph(linear(noise(64, 64), opset=6), CHAIN)
    assert (compressed.steps, compressed.worst_values) == ((), ())


@pytest.mark.parametrize("threads", [1, 2])
def test_figures_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    compressed = compress_graph(MODEL, CHAIN[1:], threads=threads)
    again = compress_graph(MODEL, CHAIN[1:])
    assert (compressed.steps, compressed.worst_values) == (again.steps, again.worst_values)
    assert len(compressed.worst_values) == 2


@pytest.mark.parametrize("sample", ["digits_cnn.onnx", "digits_transformer.onnx", "digits_wide/model.onnx"])
def test_the_report_hands_them_on_and_the_waterfall_ends_at_the_file(sample: str, tmp_path: Path) -> None:
    report = compress_file(
        SAMPLES / sample, tmp_path / "o.onnx", CHAIN, command="run",
        proof=Proof(validate=False, data=SAMPLE_DATA[sample]), writing=Writing(keep_failed=True),
    )  # fmt: skip
    bars = waterfall(report)
    names = ["normalise", "factorize", "prune-magnitude", "quantize-weights", "nodes and names"]
    assert [bar.name for bar in bars] == ["original file", *names, "result file"]
    before, after = report.comparison.reference.file_bytes, report.comparison.candidate.file_bytes
    assert (bars[-2].at, bars[-1].width) == (pytest.approx(440 * after / before, abs=0.06),) * 2
    assert after == (tmp_path / "o.onnx").stat().st_size
    assert bool(report.worst_values) == any("factors" not in line.form for line in report.ledger if line.ops)
    assert len(report.worst_values) <= 4
    lines = {line.name: line for line in report.ledger}
    for one in report.worst_values:
        assert sum(one.counts_before) == min(16384, int(np.prod(lines[one.weight].shape)))
        assert "factors" not in lines[one.weight].form
