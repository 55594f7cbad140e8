"""Weights rounded by what they compute: less error in the outputs of real runs than rounding to the nearest leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.forms.form import Storing
from nncompress.passes.context import Context
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.second_order import SECOND_ORDER
from nncompress.results.record import Rewritten
from nncompress.runtime import child
from nncompress.workflow.pipeline import apply_passes
from tests.calibrate.samples import applied
from tests.models import as_model, noise, proto_of, run

Sample = dict[str, np.ndarray]
MIXED = noise(12, 12, seed=9)  # what makes inputs have to do with each other


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def related(*shape: int, seed: int) -> np.ndarray:
    mixed: np.ndarray = (noise(*shape, 12, seed=seed) @ MIXED).astype(np.float32)
    return mixed


CASES = {
    "MatMul": ("g (float[N,12] x) => (float[N,40] y) { y = MatMul(x, w) }", (12, 40), -1),
    "Gemm": ("g (float[N,12] x) => (float[N,40] y) { y = Gemm<transB = 1>(x, w) }", (40, 12), -1),
    "Conv": ("g (float[N,12,T] x) => (float[N,40,T] y) { y = Conv<pads = [1, 1]>(x, w) }", (40, 12, 3), 1),
    "Conv with groups": ("g (float[N,12,T] x) => (float y) { y = Conv<group = 2>(x, w) }", (40, 6, 3), 1),
    "ConvTranspose": ("g (float[N,12,T] x) => (float y) { y = ConvTranspose<strides = [2]>(x, w) }", (12, 20, 3), 1),
    "RNN": ("g (float[T,N,12] x) => (float y) { y = RNN<hidden_size = 20>(x, w, r) }", (1, 20, 12), -1),
}


def feeds_of(case: str, count: int, first: int = 0) -> list[Sample]:
    body, _, axis = CASES[case]
    sizes = {"[N,12]": (30,), "[N,12,T]": (4, 9), "[T,N,12]": (5, 6)}[body[body.index("[") : body.index("]") + 1]]
    return [{"x": np.moveaxis(related(*sizes, seed=first + seed), -1, axis)} for seed in range(count)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{"bits": 3}, {"bits": 4, "block": 4, "symmetric": False}], ids=str)
def test_outputs_on_other_samples_are_closer(case: str, options: dict[str, int], tmp_path: Path) -> None:
    body, shape, _ = CASES[case]
    constants = {"w": noise(*shape) / 8} | ({"r": noise(1, 20, 20, seed=2) / 8} if case == "RNN" else {})
    proto, fresh = proto_of(body, **constants), feeds_of(case, 3, first=100)
    errors = {}
    for method in ("rtn", "gptq"):
        step = QuantizeWeights(method=method, smallest="same", min_size=1, equalise=False, **options)  # type: ignore[arg-type]
        made = applied(proto, [step], tmp_path / "samples", feeds_of(case, 8))
        details = [outcome.detail for outcome in made.outcomes if isinstance(outcome, Rewritten)]
        assert details
        assert all((SECOND_ORDER in detail) == (method == "gptq") for detail in details)
        errors[method] = sum(
            float(np.square(run(made.model, **feed)[0] - run(proto, **feed)[0]).sum()) for feed in fresh
        )
    assert errors["gptq"] < 0.8 * errors["rtn"]


@pytest.mark.parametrize(
    ("options", "used"), [({"bits": 4}, True), ({"bits": 8}, False), ({"bits": 4, "method": "rtn"}, False)]
)
def test_it_is_the_default_below_eight_bits(options: dict[str, int], used: bool, tmp_path: Path) -> None:
    proto = proto_of(CASES["MatMul"][0], w=noise(12, 40))
    step = QuantizeWeights(smallest="same", **options)  # type: ignore[arg-type]
    made = applied(proto, [step], tmp_path / "samples", feeds_of("MatMul", 2))
    (outcome,) = (outcome for outcome in made.outcomes if isinstance(outcome, Rewritten))
    assert (SECOND_ORDER in outcome.detail) is used


def test_a_table_says_why_it_is_not(tmp_path: Path) -> None:
    body = "g (int64[N] i) => (float[N,40] y) { a = Gather(t, i) y = MatMul(a, w) }"
    proto = proto_of(body, t=noise(50, 12), w=noise(12, 40))
    step = QuantizeWeights(bits=4, smallest="same")
    made = applied(proto, [step], tmp_path / "samples", [{"i": np.arange(50)}])
    said = {outcome.subject: outcome.detail for outcome in made.outcomes if isinstance(outcome, Rewritten)}
    assert said["t"].endswith("rounded to the nearest: it is looked up")
    assert SECOND_ORDER in said["w"]


def test_without_samples_nothing_changes() -> None:
    proto = proto_of(CASES["MatMul"][0], w=noise(12, 40))
    outcomes = [
        apply_passes(as_model(proto), [QuantizeWeights(bits=4, method=method)], Context(Storing(17))).outcomes  # type: ignore[arg-type]
        for method in ("auto", "rtn")
    ]
    assert outcomes[0] == outcomes[1]
