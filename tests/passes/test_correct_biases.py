"""Biases make up for what compression did to the mean of a result, in the order of the graph, as far as it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nncompress.calibrate.walk import CalibrationRun
from nncompress.errors import UsageError
from nncompress.forms.form import Storing
from nncompress.model.linear import Linear
from nncompress.model.model import Model
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.factorize import Factorize
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.statistics import Needs
from nncompress.results.record import Outcome, Rewritten, Skipped
from nncompress.runtime import child
from nncompress.workflow.pipeline import Applied, store_applied
from tests.calibrate.samples import applied, samples_of
from tests.models import CONTEXT, as_model, noise, proto_from, proto_of, run, session

W, V, U, B = noise(16, 16), noise(16, 16, seed=1), noise(16, 16, seed=2), noise(16, seed=3)
COARSE = QuantizeWeights(granularity="tensor", min_size=1, only_if_smaller=False)
Sample = dict[str, np.ndarray]
EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def same_samples(*shape: int, count: int = 3) -> list[Sample]:
    """One sample several times: means are not noisy at all."""
    return [{"x": noise(*shape, seed=5) + 1}] * count


def corrected(proto: onnx.ModelProto, folder: Path, samples: list[Sample], first: Pass = COARSE) -> Applied:
    return applied(proto, [first, CorrectBiases()], folder / "samples", samples)


def outcomes_of(made: Applied) -> dict[str, Outcome]:
    return {outcome.subject: outcome for outcome in made.outcomes if outcome.by == CorrectBiases.name}


def values(proto: onnx.ModelProto, names: Sequence[str], sample: Sample) -> list[np.ndarray]:
    """Values inside the graph."""
    watched = onnx.ModelProto.FromString(proto.SerializeToString())
    stated = {output.name for output in watched.graph.output}
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in stated)
    return list(session(watched).run(list(names), sample))


CHAIN = (
    "g (float[N,16] x) => (float[N,16] y) "
    "{ a = Gemm(x, w, b) p = Relu(a) c = MatMul(p, v) d = Add(c, b) y = Gemm(d, u) }"
)
RESIDUAL = (
    "g (float[N,16] x) => (float[N,16] y) "
    "{ a = Gemm(x, w, b) p = Tanh(a) s = Add(p, x) d = Gemm(s, v, b) q = Add(d, s) y = Gemm(q, u, b) }"
)
BRANCHES = (
    "g (float[N,16] x) => (float[N,16] y, float[N,16] z) { a = Gemm(x, w, b) p = Sigmoid(a) d = Gemm(x, v) q = Tanh(d) "
    "m = Mul(p, q) y = Gemm(m, u, b) z = Gemm(m, w, b) }"
)


@pytest.mark.parametrize(
    ("body", "results"), [(CHAIN, "ady"), (RESIDUAL, "ady"), (BRANCHES, "adyz")], ids=["chain", "residual", "branches"]
)
def test_the_mean_of_every_result_is_that_of_the_original(body: str, results: str, tmp_path: Path) -> None:
    proto, samples = proto_of(body, w=W, v=V, u=U, b=B), same_samples(6, 16)
    made = corrected(proto, tmp_path, samples)
    plain = applied(proto, [COARSE], tmp_path / "samples", samples)
    before, after = (values(one, results, samples[0]) for one in (proto, proto_from(made.model)))
    uncorrected = values(proto_from(plain.model), results, samples[0])
    for was, now, without in zip(before, after, uncorrected, strict=True):
        # a bias is rounded to float32, and so are sums of 16 products, in three layers
        bound = 3 * 32 * EPS * np.abs(was).max()
        assert np.abs(was.mean(axis=0) - now.mean(axis=0)).max() <= bound
        assert np.abs(was.mean(axis=0) - without.mean(axis=0)).max() > 10 * bound
    assert all(isinstance(outcome, Rewritten) for outcome in outcomes_of(made).values())


def test_convolutions_are_corrected_over_batch_and_places(tmp_path: Path) -> None:
    body = (
        "g (float[N,4,8,8] x) => (float[N,4,H,W] y) { a = Conv<group = 4>(x, k) r = Relu(a) t = ConvTranspose(r, l) "
        "y = BatchNormalization(t, s, o, m, q) }"
    )
    constants = {"k": noise(4, 1, 3, 3), "l": noise(4, 4, 2, 2), "s": noise(4), "o": noise(4), "m": noise(4)}
    proto, samples = proto_of(body, **constants, q=np.ones(4, np.float32)), same_samples(2, 4, 8, 8)
    made = corrected(proto, tmp_path, samples)
    before, after = (values(one, "ay", samples[0]) for one in (proto, proto_from(made.model)))
    for was, now in zip(before, after, strict=True):
        assert np.abs((was - now).mean(axis=(0, 2, 3))).max() <= 3 * 32 * EPS * np.abs(was).max()


def test_a_shared_weight_is_corrected_at_each_place_by_what_happens_there(tmp_path: Path) -> None:
    body = "g (float[N,16] x) => (float[N,16] y) { a = Gemm(x, w, b) p = Tanh(a) y = Gemm(p, w, b) }"
    proto, samples = proto_of(body, w=W, b=B), same_samples(6, 16)
    made = corrected(proto, tmp_path, samples)
    before, after = (values(one, "ay", samples[0]) for one in (proto, proto_from(made.model)))
    for was, now in zip(before, after, strict=True):
        assert np.abs((was - now).mean(axis=0)).max() <= 3 * 32 * EPS * np.abs(was).max()
    (outcome,) = outcomes_of(made).values()
    assert isinstance(outcome, Rewritten)
    assert outcome.detail.startswith("bias of 32 channels at 2 places moved, by up to ")


def test_factors_are_corrected_where_their_product_comes_out(tmp_path: Path) -> None:
    body = "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, w) y = Add(a, b) }"
    proto, samples = proto_of(body, w=noise(64, 64), b=noise(64)), same_samples(6, 64)
    made = corrected(proto, tmp_path, samples, Factorize(rank=8, min_size=16))
    was, now = run(proto, **samples[0])[0], run(made.model, **samples[0])[0]
    assert np.abs((was - now).mean(axis=0)).max() <= 200 * EPS * np.abs(was).max()
    outcomes = outcomes_of(made)
    first, second = outcomes["w.a0"], outcomes["w.b0"]
    assert isinstance(first, Skipped)
    assert first.reason == "nothing is added to its result that could be moved"
    # alone, the factors do what they do to the only layer: all of the error that is left
    x = samples[0]["x"].astype(np.float64)
    y, error = x @ noise(64, 64), was.astype(np.float64) - now
    assert second.output_sqnr_db == pytest.approx(10 * np.log10(np.square(y).sum() / np.square(error).sum()), abs=0.01)


def test_a_mean_that_is_noise_is_left_alone_and_a_noisy_one_is_corrected_by_less(tmp_path: Path) -> None:
    body = "g (float[N,16] x) => (float[N,16] y) { y = Gemm(x, w, b) }"
    proto = proto_of(body, w=W, b=B)
    samples = [{"x": noise(4, 16, seed=seed) + (1 if seed else 0.5)} for seed in range(6)]
    made = corrected(proto, tmp_path, samples)
    plain = applied(proto, [COARSE], tmp_path / "samples", samples)
    differences = [run(proto, **sample)[0].astype(np.float64) - run(plain.model, **sample)[0] for sample in samples]
    means = np.stack([each.mean(axis=0) for each in differences])
    mean, variance = means.mean(axis=0), means.var(axis=0, ddof=1) / len(means)
    expected = mean * np.maximum(0, 1 - variance / mean**2)
    moved = constant(made, "b") - B.astype(np.float64)
    assert np.abs(moved - expected).max() <= 8 * EPS * np.abs(B).max()
    assert (expected == 0).any()
    assert (expected != 0).any()


def constant(made: Applied, name: str) -> np.ndarray:
    tensor = made.model.ir.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy().astype(np.float64)


def test_nothing_is_moved_where_nothing_changed(tmp_path: Path) -> None:
    proto = proto_of(CHAIN, w=W, v=V, u=U, b=B)
    made = applied(proto, [CorrectBiases()], tmp_path / "samples", same_samples(6, 16))
    assert not made.changed
    assert {one.reason for one in made.outcomes if isinstance(one, Skipped)} == {"its result is what it was"}


def test_a_bias_that_its_type_could_not_hold_stays(tmp_path: Path) -> None:
    body = "g (float16[N,16] x) => (float16[N,16] y) { y = Gemm(x, w, b) }"
    proto = proto_of(body, w=W.astype("f2"), b=np.full(16, 65504, np.float16))
    made = corrected(proto, tmp_path, [{"x": np.full((4, 16), -1000, np.float16)}] * 2)
    (outcome,) = outcomes_of(made).values()
    assert isinstance(outcome, Skipped)
    assert outcome.reason == "its bias would be more than float16 can hold"


def test_the_error_of_a_weight_is_its_own_and_what_its_bias_makes_up_for_is_left_out(tmp_path: Path) -> None:
    proto, samples = proto_of(RESIDUAL, w=W, v=V, u=U, b=B), same_samples(6, 16)
    made = corrected(proto, tmp_path, samples)
    s, d, decoded = (one.astype(np.float64) for one in (*values(proto, "sd", samples[0]), constant(made, "v")))
    error = s @ (V.astype(np.float64) - decoded)
    error -= error.mean(axis=0)
    expected = 10 * np.log10(np.square(d).sum() / np.square(error).sum())
    assert outcomes_of(made)["v"].output_sqnr_db == pytest.approx(expected, abs=0.01)
    (line,) = [line for line in store_applied(made, Storing(17)).lines if line.name == "v"]
    assert line.output_sqnr_db == outcomes_of(made)["v"].output_sqnr_db


def test_it_needs_calibration_data() -> None:
    proto = proto_of(CHAIN, w=W, v=V, u=U, b=B)
    with pytest.raises(UsageError, match=r"^correct-biases needs calibration data$"):
        CorrectBiases().apply(as_model(proto), Context(Storing(17)))


@dataclass(frozen=True)
class Pessimist:
    """Says of outputs that they came out worse."""

    run: CalibrationRun

    def walk(self, model: Model, linears: Sequence[Linear], needs: Needs) -> Any:
        return self.run.walk(model, linears, needs)

    def output_errors(self, models: Sequence[Model]) -> list[float]:
        without, corrected = self.run.output_errors(models)
        assert corrected < without
        return [corrected, without]


def test_where_the_outputs_come_out_worse_everything_stays_as_it_was(tmp_path: Path) -> None:
    original = as_model(proto_of(RESIDUAL, w=W, v=V, u=U, b=B))
    samples = samples_of(tmp_path / "samples", original, same_samples(6, 16))
    model = original.clone()
    COARSE.apply(model, CONTEXT)
    before = proto_from(model).SerializeToString(deterministic=True)
    context = Context(Storing(17), calibration=Pessimist(CalibrationRun(original, samples)))
    outcomes = CorrectBiases().apply(model, context)
    assert proto_from(model).SerializeToString(deterministic=True) == before
    for outcome in outcomes:
        assert isinstance(outcome, Skipped)
        assert outcome.reason.startswith("moved biases would bring the error of the outputs from 0.")
        assert outcome.output_sqnr_db is not None
