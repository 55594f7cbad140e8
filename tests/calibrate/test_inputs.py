"""What a weight is multiplied by, against what changing each of its elements does to the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.calibrate.walk import CalibrationRun
from nncompress.feeds.synthesise import synthesise_choices
from nncompress.model.weights import find_weights
from nncompress.runtime import child
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_of, run, weight_named

Sample = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


CASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {  # body, shape of x, shape of w
    "Conv": ("g (float[N,3,4,4] x) => (float[N,2,4,4] y) { y = Conv(x, w) }", (2, 3, 4, 4), (2, 3, 1, 1)),
    "Conv with groups": (
        "g (float[N,6,4] x) => (float[N,4,4] y) { y = Conv<group = 2>(x, w) }", (2, 6, 4), (4, 3, 1),
    ),
    "depthwise": ("g (float[N,3,4] x) => (float[N,3,4] y) { y = Conv<group = 3>(x, w) }", (2, 3, 4), (3, 1, 1)),
    "ConvTranspose": ("g (float[N,3,4] x) => (float[N,2,4] y) { y = ConvTranspose(x, w) }", (2, 3, 4), (3, 2, 1)),
    "ConvTranspose with groups": (
        "g (float[N,4,4] x) => (float[N,6,4] y) { y = ConvTranspose<group = 2>(x, w) }", (2, 4, 4), (4, 3, 1),
    ),
    "Gemm": ("g (float[N,3] x) => (float[N,2] y) { y = Gemm(x, w) }", (5, 3), (3, 2)),
    "Gemm with transB": ("g (float[N,3] x) => (float[N,2] y) { y = Gemm<transB = 1>(x, w) }", (5, 3), (2, 3)),
    "Gemm with transA": ("g (float[3,N] x) => (float[N,2] y) { y = Gemm<transA = 1>(x, w) }", (3, 5), (3, 2)),
    "Gemm from the left": ("g (float[3,N] x) => (float[2,N] y) { y = Gemm(w, x) }", (3, 5), (2, 3)),
    "Gemm from the left with transB": (
        "g (float[N,3] x) => (float[2,N] y) { y = Gemm<transB = 1>(w, x) }", (5, 3), (2, 3),
    ),
    "MatMul": ("g (float[N,M,3] x) => (float[N,M,2] y) { y = MatMul(x, w) }", (2, 4, 3), (3, 2)),
    "MatMul from the left": ("g (float[N,3,M] x) => (float[N,2,M] y) { y = MatMul(w, x) }", (2, 3, 4), (2, 3)),
    "MatMul of a vector": ("g (float[3] x) => (float[2] y) { y = MatMul(x, w) }", (3,), (3, 2)),
    "MatMul with a vector from the left": ("g (float[3] x) => (float[2] y) { y = MatMul(w, x) }", (3,), (2, 3)),
    "behind a Transpose": (
        "g (float[N,3] x) => (float[N,2] y) { v = Transpose<perm = [1, 0]>(w) y = MatMul(x, v) }", (5, 3), (2, 3),
    ),
    "of a computed value": (
        "g (float[N,3] x) => (float[N,2] y) { r = Relu(x) s = Mul(r, r) y = MatMul(s, w) }", (5, 3), (3, 2),
    ),
    "read twice": (
        "g (float[N,3] x) => (float[M,2] y) { e = Exp(x) a = MatMul(x, w) b = MatMul(e, w) y = Concat<axis=0>(a, b) }",
        (5, 3), (3, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_squares_are_what_each_element_does_to_the_result(case: str, tmp_path: Path) -> None:
    """y is linear in w: one more of an element changes y by what that element is multiplied by."""
    body, x_shape, w_shape = CASES[case]
    samples = [{"x": noise(*x_shape, seed=seed)} for seed in range(2)]
    w = noise(*w_shape)
    model = as_model(proto_of(body, w=w))
    feeds = samples_of(tmp_path / "samples", model, samples)
    (found,) = CalibrationRun(model, feeds).inputs(model, [weight_named(model, "w")])
    assert isinstance(found, np.ndarray)
    effects = np.zeros(w_shape)
    for place in np.ndindex(*w_shape):
        more = w.copy()
        more[place] += 1
        effects[place] = sum(np.square(effect(body, w, more, sample)).sum() for sample in samples)
    shares = np.broadcast_to(found, w_shape)
    assert np.allclose(shares / shares.sum(), effects / effects.sum(), rtol=1e-4)


def effect(body: str, w: np.ndarray, more: np.ndarray, sample: Sample) -> np.ndarray:
    after, before = (run(proto_of(body, w=each), **sample)[0].astype(np.float64) for each in (more, w))
    difference: np.ndarray = after - before
    return difference


def test_recurrent_weights_meet_the_last_axis_of_the_data(tmp_path: Path) -> None:
    body = "g (float[T,N,3] x) => (float[T,1,N,4] y) { y = GRU<hidden_size = 4>(x, w, r) }"
    model = as_model(proto_of(body, w=noise(1, 12, 3), r=noise(1, 12, 4)))
    x = noise(5, 2, 3)
    feeds = samples_of(tmp_path / "samples", model, [{"x": x}])
    w, r = CalibrationRun(model, feeds).inputs(model, [weight_named(model, name) for name in "wr"])
    assert isinstance(w, np.ndarray)
    assert np.allclose(w, np.square(x, dtype=np.float64).mean(axis=(0, 1)))
    assert w.shape == (1, 1, 3)
    assert r == "GRU multiplies it by nothing that can be looked at"


BRANCH = (
    "g (float[N,8] x, bool c) => (float[N,8] y) { y = If(c)"
    "<then_branch = t () => (float[N,8] a) { a = MatMul(x, w) }, else_branch = e () => (float[N,8] b) { b = Neg(x) }> }"
)
UNKNOWN = {
    "a table": (
        "g (int64[N] x) => (float[N,8] y) { y = Gather(w, x) }", np.array([1, 2]), "Gather multiplies it by nothing",
    ),
    "infinite": (
        "g (float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) }", np.full((2, 8), np.inf, np.float32), "not finite",
    ),
    "empty": ("g (float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) }", np.zeros((0, 8), np.float32), "is empty"),
    "in a branch": (BRANCH, noise(2, 8), "in a graph inside a node"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_known_has_a_reason(case: str, tmp_path: Path) -> None:
    body, x, reason = UNKNOWN[case]
    model = as_model(proto_of(body, w=noise(8, 8)))
    sample = {"x": x, **({"c": np.array(True)} if "bool c" in body else {})}
    feeds = samples_of(tmp_path / "samples", model, [sample])
    (found,) = CalibrationRun(model, feeds).inputs(model, find_weights(model))
    assert isinstance(found, str)
    assert reason in found


def test_made_up_samples_say_nothing_of_inputs() -> None:
    model = as_model(proto_of(CASES["MatMul"][0], w=noise(3, 2)))
    feeds = synthesise_choices(model.ir, seed=0, dims={}, count=2)[0]
    assert CalibrationRun(model, feeds).inputs(model, find_weights(model)) == ["the samples are made up"]
