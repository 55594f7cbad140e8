"""The whole flow on the sample models: the account adds up, the report is true, and the bytes are always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.errors import InputError, NoOutputError, UsageError
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from nncompress.results.limits import Limits
from nncompress.results.record import Comparison, Report, Rewritten, Skipped
from nncompress.runtime import session
from nncompress.workflow.compare import compare_files
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.proof import Proof
from tests.models import noise, proto_of, saved
from tests.support import IMAGES, MLP, SAMPLE_DATA, SAMPLES, files_in

PLANS: dict[str, list[Pass]] = {
    "quantize": [QuantizeWeights()],
    "quantize-asymmetric": [QuantizeWeights(dtype="uint8", symmetric=False, granularity="tensor", range="minmax")],
    "prune": [PruneMagnitude(sparsity=0.6)],
    "factorize": [Factorize(ratio=0.6)],
    "all-three": [Factorize(ratio=0.7), PruneMagnitude(sparsity=0.5), QuantizeWeights()],
}
LEAST_RATIO = {"quantize": 2.8, "quantize-asymmetric": 2.8, "prune": 1.4, "factorize": 1.03, "all-three": 3.5}
WITHOUT_MATRICES = "digits_lstm.onnx"  # an LSTM cannot be split into two nodes, and the classifier is too small
each_sample = pytest.mark.parametrize("sample", SAMPLE_DATA)


def compress(sample: str, plan: Sequence[Pass], target: Path, **writing: object) -> Report:
    return compress_file(
        SAMPLES / sample,
        target,
        plan,
        command="run",
        proof=Proof(data=SAMPLE_DATA[sample], seconds=0),
        writing=Writing(**writing, keep_failed=True),  # type: ignore[arg-type]
        limits=Limits(min_sqnr=-99),
    )


def bytes_of(path: Path) -> int:
    """The model file and the data files that it names."""
    graph = onnx.load(path, load_external_data=False).graph
    names = {e.value for tensor in graph.initializer for e in tensor.external_data if e.key == "location"}
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in names)


@cache
def outputs_of(path: Path, data: Path) -> np.ndarray:
    """Logits of every sample, from onnxruntime without us in between."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with np.load(data) as arrays:
        name = session.get_inputs()[0].name
        return session.run(["logits"], {name: arrays[name]})[0].astype(np.float64)


def labels_of(data: Path) -> np.ndarray:
    with np.load(data) as arrays:
        return arrays["labels"]


@dataclass(frozen=True)
class Made:
    """A sample model, what a plan made of it, and what the report says."""

    source: Path
    data: Path
    plan: str
    target: Path
    report: Report


@pytest.fixture(
    scope="module",
    params=[(s, p) for s in SAMPLE_DATA for p in PLANS if (s, p) != (WITHOUT_MATRICES, "factorize")],
    ids="-".join,
)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    sample, plan = request.param
    target = tmp_path_factory.mktemp("made") / "small.onnx"
    return Made(SAMPLES / sample, SAMPLE_DATA[sample], plan, target, compress(sample, PLANS[plan], target))


@pytest.mark.slow
def test_the_ledger_adds_up_to_the_files_and_the_report_is_true(made: Made) -> None:
    source, target, data, report = made.source, made.target, made.data, made.report
    before, after = report.comparison.reference, report.comparison.candidate

    assert sum(line.bytes_before for line in report.ledger) == before.file_bytes == bytes_of(source)
    assert sum(line.bytes_after for line in report.ledger) == after.file_bytes == bytes_of(target)
    assert before.file_bytes / after.file_bytes > LEAST_RATIO[made.plan]
    assert (before.path, after.path) == (str(source), str(target))
    assert after.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert before.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (after.opset, after.ir_version) == (before.opset, before.ir_version) == (17, 8)

    assert report.comparison.run is not None
    (output,) = report.comparison.run.outputs
    assert output.problem is None
    assert output.deployed is not None
    reference, candidate = outputs_of(source, data), outputs_of(target, data)
    cosine = (reference * candidate).sum() / np.sqrt((reference**2).sum() * (candidate**2).sum())
    # float32 logits in other batches and threads: sums of some hundred terms, relative error far below 1e-4
    assert output.deployed.cosine == pytest.approx(cosine, abs=1e-4)
    same = (reference.argmax(axis=1) == candidate.argmax(axis=1)).mean()
    assert output.deployed.top1_agreement == pytest.approx(same, abs=1 / len(reference))
    (top1,) = (metric for metric in report.comparison.run.metrics if metric.name == "top-1")
    assert top1.samples == 400
    assert top1.reference == pytest.approx((reference.argmax(axis=1) == labels_of(data)).mean(), abs=1e-9)
    assert top1.candidate == pytest.approx((candidate.argmax(axis=1) == labels_of(data)).mean(), abs=1 / 400)


@pytest.mark.slow
def test_every_weight_was_rewritten_or_says_why_not(made: Made) -> None:
    report = made.report
    weights = [line for line in report.ledger if line.kind == "weight"]
    assert any(isinstance(o, Rewritten) for line in weights for o in line.outcomes)
    for line in weights:
        assert [o.by for o in line.outcomes if isinstance(o, Skipped) and not o.reason] == []
        assert line.outcomes, f"{line.name} is not accounted for"
        if not any(isinstance(outcome, Rewritten) for outcome in line.outcomes):
            assert line.bytes_before == line.bytes_after
    assert len({line.name for line in report.ledger}) == len(report.ledger)


@pytest.mark.slow
@each_sample
def test_the_result_of_a_dequantize_form_computes_the_same_as_the_folded_one(sample: str, tmp_path: Path) -> None:
    data = SAMPLE_DATA[sample]
    compress(sample, PLANS["quantize"], tmp_path / "folded.onnx")
    report = compress(sample, PLANS["quantize"], tmp_path / "standard.onnx", form="dequantize")
    kinds = {node.op_type for node in onnx.load(tmp_path / "standard.onnx").graph.node}
    assert "DequantizeLinear" in kinds
    (output,) = report.comparison.run.outputs  # type: ignore[union-attr]
    assert output.deployed is not None
    assert output.deployed.cosine is not None
    folded = outputs_of(tmp_path / "folded.onnx", data)
    standard = outputs_of(tmp_path / "standard.onnx", data)
    # Where onnxruntime computes DequantizeLinear + MatMul with int8 activations, it adds an error of its own.
    cosine = (folded * standard).sum() / np.sqrt((folded**2).sum() * (standard**2).sum())
    assert cosine > 0.999


@pytest.mark.slow
def test_a_model_without_a_matrix_to_split_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoOutputError, match="nothing was compressed: 2 weights: LSTM cannot be split into two nodes"):
        compress(WITHOUT_MATRICES, PLANS["factorize"], tmp_path / "small.onnx")
    assert files_in(tmp_path) == set()


@pytest.mark.slow
def test_external_data_of_the_original_counts_and_stays_as_it_is(tmp_path: Path) -> None:
    wide = SAMPLES / "digits_wide" / "model.onnx"
    before = {path.name: path.read_bytes() for path in wide.parent.iterdir()}
    report = compress("digits_wide/model.onnx", PLANS["quantize"], tmp_path / "small.onnx", external_data=True)
    assert report.comparison.reference.file_bytes == sum(map(len, before.values()))
    assert report.comparison.candidate.file_bytes == bytes_of(tmp_path / "small.onnx")
    assert {path.name: path.read_bytes() for path in wide.parent.iterdir()} == before
    ((name, digest),) = report.comparison.reference.data_sha256
    assert (name, digest) == ("model.onnx.data", hashlib.sha256(before["model.onnx.data"]).hexdigest())
    assert len(files_in(tmp_path)) == 2


@pytest.mark.slow
def test_a_comparison_of_two_files_measures_what_the_compression_measured(tmp_path: Path) -> None:
    target = tmp_path / "small.onnx"
    made = compress("digits_mlp.onnx", PLANS["quantize"], target)
    compared = compare_files(MLP, target, proof=Proof(data=IMAGES, seconds=0))
    assert compared.ledger == ()
    assert without_cost(compared) == without_cost(made)


def without_cost(report: Report) -> Comparison:
    """What is the same in every run."""
    assert report.comparison.run is not None
    return replace(report.comparison, run=replace(report.comparison.run, loaded=None))


def test_a_model_compared_with_itself_is_identical() -> None:
    report = compare_files(MLP, MLP, proof=Proof(data=IMAGES, seconds=0))
    assert report.comparison.run is not None
    (output,) = report.comparison.run.outputs
    assert output.deployed is not None
    assert output.deployed.identical
    assert report.comparison.size_ratio == 1


def test_the_report_says_with_what_options_it_was_made(tmp_path: Path) -> None:
    report = compress("digits_mlp.onnx", [QuantizeWeights(dtype="uint8")], tmp_path / "small.onnx")
    assert report.passes == ("quantize-weights:dtype=uint8",)
    assert [name for name, _ in report.seconds] == ["load", "compress", "write", "validate"]
    assert all(seconds >= 0 for _, seconds in report.seconds)


@pytest.mark.slow
def test_synthetic_inputs_are_called_synthetic_and_follow_the_seed(tmp_path: Path) -> None:
    reports = [
        compress_file(
            MLP, tmp_path / f"small{number}.onnx", [QuantizeWeights()], command="run", proof=Proof(seed=seed, seconds=0)
        )
        for number, seed in enumerate((0, 0, 1))
    ]
    first, again, other = (report.comparison.run for report in reports)
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.feeds.synthetic
    assert (first.feeds.seed, other.feeds.seed) == (0, 1)
    assert first.outputs == again.outputs
    assert first.outputs != other.outputs


def test_impossible_passes_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no passes given"):
        compress_file(tmp_path / "missing.onnx", tmp_path / "small.onnx", [], command="run")
    with pytest.raises(UsageError, match="give a sparsity or a threshold, not both"):
        compress_file(
            tmp_path / "missing.onnx",
            tmp_path / "small.onnx",
            [PruneMagnitude(sparsity=0.5, threshold=1)],
            command="run",
        )


@pytest.mark.parametrize("data", [None, IMAGES])
def test_the_original_is_opened_once_whatever_it_is_needed_for(
    data: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    opening = session._open

    def noted(path: Path, *arguments: object) -> session.Session:
        opened.append(path)
        return opening(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("nncompress.runtime.child._in_process", True)
    monkeypatch.setattr(session, "_open", noted)
    proof = Proof(data=data, seconds=0)
    compress_file(MLP, tmp_path / "small.onnx", PLANS["quantize"], command="quantize", proof=proof)
    assert opened.count(MLP) == 1
    assert len(opened) == 2
    opened.clear()
    compare_files(MLP, tmp_path / "small.onnx", proof=proof)
    assert opened == [MLP, tmp_path / "small.onnx"]
    opened.clear()
    old = proto_of("g (float[N,64] image) => (float[N,64] y) { y = MatMul(image, w) }", opset=8, w=noise(64, 64))
    path, writing = saved(old, tmp_path / "old.onnx"), Writing(form="dequantize")
    passes, made_up = [QuantizeWeights(granularity="channel")], Proof(seconds=0)
    report = compress_file(path, tmp_path / "new.onnx", passes, command="quantize", writing=writing, proof=made_up)
    assert any("opset 8 -> 13" in note for note in report.notes)
    assert opened.count(path) == 1


def test_an_original_that_cannot_be_run_is_found_out_before_anything_is_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nncompress.workflow.trials.compress_graph", None)  # not called
    proto = proto_of("g (float[N] x) => (float[N] y) { y = local.Unknown(x) }")
    with pytest.raises(InputError, match="onnxruntime cannot load the original"):
        compress_file(saved(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx", PLANS["quantize"], command="quantize")


def test_a_result_that_the_runtime_refuses_is_never_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise NoOutputError("loading the result small.onnx: onnxruntime says no")

    monkeypatch.setattr("nncompress.validate.in_child.OpenOriginal.finished", refused)
    with pytest.raises(NoOutputError, match="onnxruntime says no"):
        compress("digits_mlp.onnx", PLANS["quantize"], tmp_path / "small.onnx")
    assert files_in(tmp_path) == set()
