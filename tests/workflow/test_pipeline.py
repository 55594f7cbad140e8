"""What compressing says about its steps: sizes between the passes that lead to the file, and no work for one pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir
import pytest

import nncompress.workflow.pipeline as module
from nncompress.forms.form import Storing
from nncompress.model.constants import find_constants
from nncompress.model.encoding import set_values
from nncompress.model.model import Model
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass, Stage, WeightPass
from nncompress.passes.context import Context
from nncompress.report.charts.waterfall import waterfall
from nncompress.results.record import Outcome, Rewritten
from nncompress.runtime.environment import adds_in_16_bits
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.pipeline import apply_passes, compress_graph, store_applied
from nncompress.workflow.prepare import Preparing
from nncompress.workflow.proof import Proof
from tests.models import context_for, linear, model_of, noise, run
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
    compressed = compress_graph(linear(noise(64, 64), opset=6), CHAIN, preparing=Preparing(keep_opset=True))
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
    assert bars is not None
    shown = [row.name for row in bars.rows[1:-1]]
    assert shown == [name for name in names if name in shown]  # without those that changed no byte
    assert set(names) - set(shown) <= {"normalise", "factorize"}
    before, after = report.comparison.reference.file_bytes, report.comparison.candidate.file_bytes
    assert bars.rows[-1].boxes[0].width == pytest.approx(100 * after / before, abs=0.06)
    assert after == (tmp_path / "o.onnx").stat().st_size
    assert bool(report.worst_values) == any(
        "factors" not in line.form for line in report.ledger if line.kind == "weight"
    )
    assert len(report.worst_values) <= 4
    lines = {line.name: line for line in report.ledger}
    for one in report.worst_values:
        assert sum(one.counts_before) == min(16384, int(np.prod(lines[one.weight].shape)))
        assert "factors" not in lines[one.weight].form


@dataclass(frozen=True)
class DoubleValues(WeightPass):
    """Gives each weight twice its values."""

    name: ClassVar[str] = "double-values"
    stage: ClassVar[Stage] = Stage.VALUES

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        for weight in weights:
            set_values(weight, ir.Tensor(2 * weight.array()))
            outcomes.append(Rewritten(weight.name, self.name, "doubled"))
        return outcomes


def test_values_given_after_pruning_are_those_in_the_file() -> None:
    weight = noise(64, 80)
    pruned = compress_graph(linear(weight), [PruneMagnitude(sparsity=0.6)])
    doubled = compress_graph(linear(weight), [PruneMagnitude(sparsity=0.6), DoubleValues()])
    unit = np.eye(64, dtype=np.float32)
    assert np.array_equal(run(doubled.model, x=unit)[0], 2 * run(pruned.model, x=unit)[0])


def test_what_was_applied_can_be_stored_in_several_ways() -> None:
    model = linear(noise(64, 80))
    context = context_for(model)
    applied = apply_passes(model, [PruneMagnitude(sparsity=0.6), QuantizeWeights()], context)
    first, second = (store_applied(applied.clone(), Storing(17, form)) for form in ("folded", "dequantize"))
    assert [compressed.lines[0].form for compressed in (first, second)] == ["folded, sparse-mask", "dequantize"]
    assert first.lines == compress_graph(model, [PruneMagnitude(sparsity=0.6), QuantizeWeights()]).lines
    assert store_applied(applied, context.storing).lines == first.lines
    with pytest.raises(AssertionError, match="it is stored already"):
        store_applied(applied, context.storing)


@pytest.mark.parametrize(("form", "cpu", "warned"), [("integer", "native", True), ("integer", "portable", False),
                                                     ("folded", "native", False)])  # fmt: skip
def test_it_is_said_where_other_processors_may_give_other_results(
    form: str, cpu: Literal["native", "portable"], warned: bool
) -> None:
    notes = compress_graph(MODEL, [QuantizeWeights(cpu=cpu)], form=form).notes
    said = "x86 processors without VNNI may give other outputs: sums of products with 2 weights may saturate there"
    assert any(note.startswith(said) for note in notes) == (warned and not adds_in_16_bits())
