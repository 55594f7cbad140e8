"""Correcting biases in odd graphs: what a hunt for wrong results found, and that nothing ends the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.forms.form import Storing
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Outcome, Rewritten
from nncompress.runtime import child
from nncompress.workflow.pipeline import Applied, store_applied
from tests.calibrate.samples import applied
from tests.models import noise, proto_from, proto_of, run

COARSE = QuantizeWeights(granularity="tensor", min_size=1, only_if_smaller=False)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def corrected(
    body: str, folder: Path, x: np.ndarray, *, opset: int = 17, ir_version: int = 8, **weights: np.ndarray
) -> tuple[Applied, dict[str, Outcome]]:
    """On six samples that are alike."""
    proto = proto_of(body, opset=opset, ir_version=ir_version, **weights)
    result = applied(proto, [COARSE, CorrectBiases()], folder / "samples", [{"x": x}] * 6)
    return result, {outcome.subject: outcome for outcome in result.outcomes if outcome.by == CorrectBiases.name}


@pytest.mark.parametrize("reader", ["Reshape", "Unsqueeze"])
def test_the_bias_behind_a_conv_whose_weight_has_another_shape_moves_along_the_channels(
    reader: str, tmp_path: Path
) -> None:
    """The width is that of the channels: along the wrong axis it would fit as well."""
    x, places = np.abs(noise(2, 8, 6, 8)) + 0.5, np.array([8, 8, 1, 1] if reader == "Reshape" else [2, 3])
    body = f"g (float[B,8,6,8] x) => (float[B,8,6,8] y) {{ k = {reader}(w, s) c = Conv(x, k) y = Add(c, b) }}"
    result, outcomes = corrected(body, tmp_path, x, w=noise(8, 8), s=places, b=noise(8, 1, 1))
    assert isinstance(outcomes["w"], Rewritten)
    stored = store_applied(result, Storing(result.model.opset))
    before, after = run(result.original, x=x)[0], run(stored.model, x=x)[0]
    assert np.abs((before - after).mean(axis=(0, 2, 3))).max() < 1e-4


ODD = {
    "a constant goes in": (
        "g (float[20,12] x) => (float[20,12] y) "
        "{ h = Elu(k) p = MatMul(h, w) q = Add(p, b) m = MatMul(x, v) r = Add(m, b) y = Add(q, r) }",
        17,
    ),
    "outputs that cannot be kept": (
        "g (float[20,12] x) => (bfloat16[20,12] y) { m = MatMul(x, v) r = Add(m, b) y = Cast<to=16>(r) }",
        17,
    ),
    "a sequence crosses": (
        "g (float[20,12] x) => (float[1,12] y) { s0 = SplitToSequence<axis=0>(x, one) s = Identity(s0) "
        "u = SequenceAt(s, i) m = MatMul(u, v) r = Add(m, b) z = SequenceAt(s, i) t = Add(r, z) n = MatMul(t, w2) "
        "y = Add(n, b) }",
        17,
    ),
    "four bits cross": (
        "g (float[20,12] x) => (float[20,12] y) { h = QuantizeLinear<output_dtype=22>(x, e) u = DequantizeLinear(h, e) "
        "m = MatMul(u, v) r = Add(m, b) z = DequantizeLinear(h, e) t = Add(r, z) n = MatMul(t, w2) y = Add(n, b) }",
        21,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_measured_is_skipped_with_a_reason_and_the_rest_goes_on(name: str, tmp_path: Path) -> None:
    body, opset = ODD[name]
    names = {"k": noise(20, 16), "w": noise(16, 12), "v": noise(12, 12), "w2": noise(12, 12, seed=4), "b": noise(12)}
    names |= {"one": np.array(1), "i": np.array(0), "e": np.array(0.1, np.float32)}
    used = {key: value for key, value in names.items() if f"({key}" in body or f" {key})" in body or f"{key}," in body}
    result, outcomes = corrected(body, tmp_path, noise(20, 12), opset=opset, ir_version=10, **used)
    assert result.changed
    for outcome in outcomes.values():
        assert isinstance(outcome, Rewritten) or outcome.reason
    if name == "a constant goes in":
        assert outcomes["w"].reason == "its result is the same for all inputs"  # type: ignore[union-attr]
    if name.endswith("cross"):
        reasons = [getattr(outcome, "reason", "") for outcome in outcomes.values()]
        assert any(reason.startswith("calibration cannot stop there: ") for reason in reasons)
    assert proto_from(result.model).graph.node


def test_what_comes_after_dropout_in_training_is_random(tmp_path: Path) -> None:
    body = "g (float[20,12] x) => (float[20,12] y) { d = Dropout(x, ratio, mode) m = MatMul(d, v) y = Add(m, b) }"
    constants = {"ratio": np.array(0.5, np.float32), "v": noise(12, 12), "b": noise(12)}
    _, training = corrected(body, tmp_path, noise(20, 12), mode=np.array(True), **constants)
    assert training["v"].reason == "it comes after random numbers"  # type: ignore[union-attr]
    _, inference = corrected(body, tmp_path, noise(20, 12), mode=np.array(False), **constants)
    assert isinstance(inference["v"], Rewritten)
