"""Products of the inputs of weights: those of the network as it was and as it is by then, against runs of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nncompress.calibrate.walk import CalibrationRun
from nncompress.model.encoding import set_values
from nncompress.model.model import INSIDE, Model
from nncompress.model.weights import find_weights
from nncompress.numerics.gram import Gram
from nncompress.passes.statistics import Inputs
from nncompress.runtime import child
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_of, run

FEEDS = [{"x": noise(20, 6, seed=seed)} for seed in range(3)]
TWO = "g (float[N,6] x) => (float[N,2] y) { a = MatMul(x, v) h = Relu(a) y = MatMul(h, w) }"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def grams_of(
    model: Model, folder: Path, feeds: list[dict[str, np.ndarray]], *, halved: bool = False
) -> dict[str, Gram]:
    """By weight; `halved`: each weight is halved as soon as its Gram matrix is known."""
    samples = CalibrationRun(model.clone(), samples_of(folder, model, feeds))
    found = {}
    for batch in samples.grams(model, find_weights(model)):
        for weight, inputs in batch:
            assert isinstance(inputs, Inputs), inputs
            found[weight.name] = inputs.gram
            if halved:
                set_values(weight, ir.Tensor(weight.array() / 2))
    return found


def test_later_weights_see_what_became_of_earlier_ones(tmp_path: Path) -> None:
    proto = proto_of(TWO, v=noise(6, 4), w=noise(4, 2))
    grams = grams_of(as_model(proto), tmp_path / "samples", FEEDS, halved=True)
    x = np.concatenate([feed["x"] for feed in FEEDS])
    hidden = np.maximum(x @ noise(6, 4), 0)
    assert grams["v"].own[0] == pytest.approx(x.T @ x, rel=1e-4)
    own, cross = grams["w"].own[0], grams["w"].cross
    assert cross is not None
    assert own == pytest.approx(hidden.T @ hidden / 4, rel=1e-4)
    assert cross[0] == pytest.approx(hidden.T @ hidden / 2, rel=1e-4)
    assert grams["w"].mean[0] == pytest.approx(hidden.sum(axis=0) / 2, rel=1e-4)
    assert grams["w"].mean_before[0] == pytest.approx(hidden.sum(axis=0), rel=1e-4)


def test_a_weight_that_is_read_twice_gets_both(tmp_path: Path) -> None:
    body = "g (float[N,6] x) => (float[N,6] y) { a = MatMul(x, w) y = MatMul(a, w) }"
    w = noise(6, 6) / 4
    grams = grams_of(as_model(proto_of(body, w=w)), tmp_path / "samples", FEEDS, halved=True)
    x = np.concatenate([feed["x"] for feed in FEEDS])
    assert grams["w"].own[0] == pytest.approx(x.T @ x + w.T @ x.T @ x @ w, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("results", ["(float y) { y, h", "(float h) { y, h", "(float h) { , h"])
def test_recurrent_weights_see_the_states_that_others_left(results: str, tmp_path: Path) -> None:
    body = "g (float[7,2,3] x) => (float y) { y, h = LSTM<hidden_size = 4>(x, w, r) }"
    other = f"g (float[7,2,3] x) => {results} = LSTM<hidden_size = 4>(x, w, r) }}"
    w, r = noise(1, 16, 3), noise(1, 16, 4, seed=1)
    feeds = [{"x": noise(7, 2, 3, seed=seed)} for seed in range(2)]
    model = as_model(proto_of(other, w=w, r=r))
    names = [result.name for node in model.ir.graph for result in node.outputs]
    grams = grams_of(model, tmp_path / "samples", feeds, halved=True)
    assert [result.name for node in model.ir.graph for result in node.outputs] == names
    own, cross = np.zeros((4, 4)), np.zeros((4, 4))
    for feed in feeds:
        states, now = (run(proto_of(body, w=each, r=r), **feed)[0][:-1, 0].reshape(-1, 4) for each in (w, w / 2))
        own, cross = own + now.T @ now, cross + states.T @ now
    assert grams["r"].own[0] == pytest.approx(own, rel=1e-4)
    assert grams["r"].cross is not None
    assert grams["r"].cross[0] == pytest.approx(cross, rel=1e-4)


@pytest.mark.parametrize("nested", [False, True])
def test_inside_an_if_only_what_ran_counts(nested: bool, tmp_path: Path) -> None:
    then, other = "a = MatMul(x, v) h = Relu(a) z = MatMul(h, w)", "o = MatMul(x, u)"
    if nested:
        otherwise = "else_branch = j () => (q) { q = MatMul(x, u) }"
        then = f"t = If(b) <then_branch = i () => (p) {{ {then} p = Neg(z) }}, {otherwise}>"
        other = "o = Identity(x2)"
    result = "t" if nested else "z"
    body = (
        "g (float[N,6] x, float[N,2] x2, bool b) => (float[N,2] y) "
        f"{{ y = If(b) <then_branch = m () => ({result}) {{ {then} }}, else_branch = e () => (o) {{ {other} }}> }}"
    )
    feeds = [{**feed, "x2": noise(20, 2), "b": np.array(place > 0)} for place, feed in enumerate(FEEDS)]
    model = as_model(proto_of(body, v=noise(6, 4), w=noise(4, 2), u=noise(6, 2)))
    grams = grams_of(model, tmp_path / "samples", feeds, halved=True)
    hidden = np.maximum(np.concatenate([feed["x"] for feed in feeds[1:]]) @ noise(6, 4), 0)
    assert grams["w"].count == 40
    assert grams["w"].own[0] == pytest.approx(hidden.T @ hidden / 4, rel=1e-4)
    assert grams["w"].cross is not None
    assert grams["w"].cross[0] == pytest.approx(hidden.T @ hidden / 2, rel=1e-4)


def test_names_that_are_made_meanwhile_are_those_of_nothing_else(tmp_path: Path) -> None:
    body = (
        "g (float[N,6] shown0, float[5,1,6] inside0, bool b) => (float[N,2] y, float h) { "
        "y = If(b) <then_branch = m () => (z) { h0 = Relu(shown0) z = MatMul(h0, w) }, "
        "else_branch = e () => (shown1) { shown1 = MatMul(shown0, u) }> "
        ", h = LSTM<hidden_size = 4>(inside0, k, r) }"
    )
    constants = {"w": noise(6, 2), "u": noise(6, 2), "k": noise(1, 16, 6), "r": noise(1, 16, 4)}
    proto = proto_of(body, **constants)
    proto.graph.node.append(onnx.helper.make_node("Neg", ["h"], ["h.states"]))
    feeds = [
        {"shown0": feed["x"], "inside0": noise(5, 1, 6, seed=place), "b": np.array(place > 0)}
        for place, feed in enumerate(FEEDS)
    ]
    grams = grams_of(as_model(proto), tmp_path / "samples", feeds)
    assert {name: gram.count for name, gram in grams.items()} == {"w": 40, "u": 60, "k": 15, "r": 12}


def test_a_result_of_an_if_is_known_inside_it_as_well(tmp_path: Path) -> None:
    body = (
        "g (float[N,6] x, bool b) => (float[N,6] k, float[N,2] y) { k, y = If(b) "
        "<then_branch = m () => (h, z) { h = Relu(x) z = MatMul(h, w) }, "
        "else_branch = e () => (o, p) { o = Neg(x) p = MatMul(o, u) }> }"
    )
    feeds = [{**feed, "b": np.array(place > 0)} for place, feed in enumerate(FEEDS)]
    grams = grams_of(as_model(proto_of(body, w=noise(6, 2), u=noise(6, 2))), tmp_path / "samples", feeds)
    hidden = np.maximum(np.concatenate([feed["x"] for feed in feeds[1:]]), 0)
    assert grams["w"].own[0] == pytest.approx(hidden.T @ hidden, rel=1e-4)
    assert grams["u"].own[0] == pytest.approx(feeds[0]["x"].T @ feeds[0]["x"], rel=1e-4)


def test_a_value_inside_a_function_is_none_of_the_graph_that_has_its_name(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[N,6] x) => (float[N,6] y) { h = Neg(x) k = MatMul(h, v) y = own.f(k) }
        <domain: "own", opset_import: ["" : 17]>
        f (a) => (b) { h = Relu(a) w = Constant<value = float[6,1] {1, 2, 3, 4, 5, 6}>() b = MatMul(h, w) }"""
    )
    proto.graph.initializer.append(onnx.numpy_helper.from_array(noise(6, 6), "v"))
    model = as_model(proto)
    samples = CalibrationRun(model.clone(), samples_of(tmp_path / "samples", model, FEEDS))
    said = {w.name: inputs for batch in samples.grams(model, find_weights(model)) for w, inputs in batch}
    assert isinstance(said.pop("v"), Inputs)
    assert list(said.values()) == [INSIDE]


def test_what_nothing_is_known_of_has_a_reason(tmp_path: Path) -> None:
    body = (
        "g (float[N,6] x, float[N,6] s, int64 n, bool b) => (float[N,6] y, float[1,4] k) { k = MatMul(o, w2) "
        "y = Loop(n, b, s) <body = r (int64 i, bool c, float[N,6] f) => (bool d, float[N,6] z) "
        "{ d = Identity(c) t = Tanh(f) z = MatMul(t, w) }> }"
    )
    model = as_model(proto_of(body, w=noise(6, 6), w2=noise(6, 4), o=noise(1, 6)))
    feeds = [{**feed, "s": feed["x"], "n": np.array(2), "b": np.array(True)} for feed in FEEDS]
    samples = CalibrationRun(model.clone(), samples_of(tmp_path / "samples", model, feeds))
    said = {w.name: inputs for batch in samples.grams(model, find_weights(model)) for w, inputs in batch}
    assert said["w"] == INSIDE
    assert said["w2"] in (
        "what it is multiplied by is the same for all inputs",
        "MatMul multiplies it by nothing that can be looked at",
    )
