"""A walk compares each result with the original's, on what the network computes after all that was changed before."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from nncompress.calibrate import measure
from nncompress.calibrate.walk import CalibrationRun
from nncompress.errors import InputError, NoOutputError
from nncompress.model.encoding import set_constant
from nncompress.model.linear import find_linears
from nncompress.model.model import Model
from nncompress.model.tensors import lazy
from nncompress.numerics.moments import Deviation
from nncompress.passes.statistics import Needs
from nncompress.runtime import child
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_from, proto_of, session

NEEDS = Needs(means=True)
W, V, U = noise(8, 8) / 3, noise(8, 8, seed=1) / 3, noise(8, 8, seed=2) / 3
B = noise(8, seed=3)
Sample = dict[str, np.ndarray]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models run in this process, which saves a second each time."""
    monkeypatch.setattr(child, "_in_process", True)


def x_samples(count: int = 5, *shape: int) -> list[Sample]:
    return [{"x": noise(*(shape or (3, 8)), seed=10 + index)} for index in range(count)]


def rounded(array: np.ndarray) -> np.ndarray:
    """Coarser: a tenth at a time."""
    return np.asarray(np.round(array * 10) / 10, dtype=array.dtype)


def coarser(model: Model, *names: str) -> Model:
    """A copy of the model in which these constants are rounded."""
    copy = model.clone()
    for name in names:
        value = copy.ir.graph.initializers[name]
        assert value.const_value is not None
        array = rounded(value.const_value.numpy())
        set_constant(value, lazy(lambda array=array: array, value.const_value.dtype, array.shape, name))
    return copy


def walked(original: Model, model: Model, folder: Path, samples: list[Sample]) -> dict[str, Deviation | str]:
    run = CalibrationRun(original, samples_of(folder, original, samples))
    return {linear.result.name or "": known for linear, known in run.walk(model, find_linears(model), NEEDS)}


def results(model: Model, name: str, samples: list[Sample]) -> list[np.ndarray]:
    """The value for every sample, computed by the whole model at once."""
    proto = proto_from(model)
    if name not in {output.name for output in proto.graph.output}:
        proto.graph.output.append(helper.make_empty_tensor_value_info(name))
    inner = session(proto)
    return [inner.run([name], sample)[0] for sample in samples]


def by_definition(original: Model, model: Model, name: str, samples: list[Sample], axis: int = -1) -> np.ndarray:
    pairs = zip(results(original, name, samples), results(model, name, samples), strict=True)
    rows = [np.moveaxis(y.astype(np.float64) - z, axis, -1).reshape(-1, y.shape[axis]) for y, z in pairs]
    return np.concatenate(rows)


RESIDUAL = (
    "g (float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) b = Add(a, c) r = Relu(b) d = MatMul(r, v) e = Add(d, c) "
    "s = Add(e, r) f = MatMul(s, u) y = Add(f, x) }"
)
BRANCHES = (
    "g (float[N,8] x) => (float[N,8] y, float[N,8] z) { a = MatMul(x, w) p = Tanh(a) b = MatMul(p, v) "
    "d = MatMul(x, u) q = Sigmoid(d) m = Add(b, q) y = MatMul(m, w) z = Neg(q) }"
)
TRANSPOSED = (
    "g (float[N,8] x) => (float[N,8] y) { t = Transpose(w) a = MatMul(x, t) r = Relu(a) s = Transpose(v) "
    "b = MatMul(r, s) i = Shape(x) j = Identity(b) y = Reshape(j, i) }"
)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("body", [RESIDUAL, BRANCHES, TRANSPOSED])
@pytest.mark.parametrize("budget", [0, 1 << 20])
def test_moments_are_those_of_both_models_run_as_a_whole(
    body: str, budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "BUDGET_BYTES", budget)
    weights = {name: array for name, array in {"w": W, "v": V, "u": U, "c": B}.items() if f"{name})" in body}
    original = as_model(proto_of(body, **weights))
    model, samples = coarser(original, *weights), x_samples()
    for name, known in walked(original, model, tmp_path / "x", samples).items():
        assert isinstance(known, Deviation)
        rows = by_definition(original, model, name, samples)
        y = np.concatenate(results(original, name, samples)).astype(np.float64)
        # both are float32 sums of 8 products a layer, three layers deep
        bound = 64 * float(np.finfo(np.float32).eps) * float(np.abs(y).max())
        assert known.moved.count == len(rows)
        assert np.abs(known.moved.mean - rows.mean(axis=0)).max() <= bound
        assert known.moved.squares == pytest.approx(np.square(rows).sum(axis=0), rel=1e-3, abs=len(rows) * bound**2)
        assert known.signal == pytest.approx(np.square(y).sum(), rel=1e-5)


@pytest.mark.usefixtures("here")
def test_alone_is_the_node_with_its_weight_on_the_inputs_of_the_original(tmp_path: Path) -> None:
    original = as_model(proto_of(RESIDUAL, w=W, v=V, u=U, c=B))
    samples = x_samples()
    known = walked(original, coarser(original, "w", "v", "u"), tmp_path / "x", samples)
    for name, reads, weight in (("a", "x", W), ("d", "r", V), ("f", "s", U)):
        inputs = np.concatenate(samples_read(original, reads, samples)).astype(np.float64)
        rows = inputs @ (weight - rounded(weight).astype(np.float64))
        deviation = known[name]
        assert isinstance(deviation, Deviation)
        assert deviation.alone.mean == pytest.approx(rows.mean(axis=0), abs=1e-5)
        assert deviation.alone.squares.sum() == pytest.approx(np.square(rows).sum(), rel=1e-4)


def samples_read(model: Model, name: str, samples: list[Sample]) -> list[np.ndarray]:
    return [sample[name] for sample in samples] if name in samples[0] else results(model, name, samples)


@pytest.mark.usefixtures("here")
def test_what_is_changed_on_the_way_counts_for_what_comes_after(tmp_path: Path) -> None:
    original = as_model(proto_of(RESIDUAL, w=W, v=V, u=U, c=B))
    model = coarser(original, "w")
    run = CalibrationRun(original, samples_of(tmp_path / "x", original, x_samples()))
    known = {}
    for linear, deviation in run.walk(model, find_linears(model), NEEDS):
        assert isinstance(deviation, Deviation)
        known[linear.result.name] = deviation
        value = model.ir.graph.initializers["w"]
        set_constant(value, lazy(lambda: W, value.const_value.dtype, W.shape, "w"))  # type: ignore[union-attr]
    assert known["a"].moved.squares.any()
    assert not known["d"].moved.squares.any()
    assert not known["f"].moved.squares.any()


@pytest.mark.usefixtures("here")
def test_samples_may_differ_in_shape(tmp_path: Path) -> None:
    body = "g (float[1,2,N] x) => (float[1,M,N] y) { y = Conv<pads = [1, 1]>(x, k) }"
    original = as_model(proto_of(body, k=noise(4, 2, 3)))
    samples = [{"x": noise(1, 2, size, seed=size)} for size in (5, 9, 30)]
    (known,) = walked(original, model := coarser(original, "k"), tmp_path / "x", samples).values()
    assert isinstance(known, Deviation)
    rows = by_definition(original, model, "y", samples, axis=1)
    assert known.moved.count == len(rows) == 44
    assert known.moved.mean == pytest.approx(rows.mean(axis=0), abs=1e-5)


@pytest.mark.usefixtures("here")
def test_integers_booleans_and_texts_go_from_block_to_block(tmp_path: Path) -> None:
    body = (
        "g (int64[N] i, bool[N,1] m, string[N] s, float[N,8] x) => (float[N,8] y, string[N] t) { e = Gather(v, i) "
        "a = MatMul(x, w) b = Where(m, a, e) d = MatMul(b, u) t = Identity(s) q = Where(m, d, e) y = MatMul(q, w) }"
    )
    original = as_model(proto_of(body, w=W, v=V, u=U))
    samples = [
        {"i": np.array([1, 2, 7]), "m": np.array([[True], [False], [True]]), "s": np.array(["a", "b", "ä"]),
         "x": noise(3, 8, seed=seed)} for seed in range(3)
    ]  # fmt: skip
    known = walked(original, coarser(original, "w", "u"), tmp_path / "x", samples)
    assert [name for name, one in known.items() if isinstance(one, Deviation)] == ["a", "d", "y"]


SEQUENCE = (
    "g (float[N,8] x) => (float[N,8] y) { l = Constant<value = int64 {0}>() q = SequenceConstruct(x, x) "
    "p = SequenceAt(q, l) a = MatMul(p, w) b = SequenceAt(q, l) d = Add(a, b) y = MatMul(d, v) }"
)
IF = (
    "g (bool c, float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) b = If(c) <"
    "then_branch = t () => (float[N,8] p) { p = MatMul(a, v) }, "
    "else_branch = e () => (float[N,8] q) { q = Neg(a) }> y = MatMul(b, u) }"
)
FUNCTION = (
    "g (float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) b = local.f(a, v) y = MatMul(b, u) } "
    '<domain: "local", opset_import: ["" : 17]> f (o, k) => (p) { p = MatMul(o, k) }'
)


@pytest.mark.usefixtures("here")
def test_a_value_that_is_no_tensor_is_not_cut_off(tmp_path: Path) -> None:
    original = as_model(proto_of(SEQUENCE, w=W, v=V))
    known = walked(original, model := coarser(original, "w", "v"), tmp_path / "x", samples := x_samples())
    assert known["a"] == "calibration cannot stop there: 'q' is no tensor"
    assert isinstance(known["y"], Deviation)
    assert known["y"].moved.mean == pytest.approx(by_definition(original, model, "y", samples).mean(axis=0), abs=1e-5)


@pytest.mark.usefixtures("here")
def test_weights_in_branches_are_left_out_with_a_reason_and_those_behind_are_not(tmp_path: Path) -> None:
    original = as_model(proto_of(IF, w=W, v=V, u=U))
    samples = [{"c": np.array(index % 2 == 0), **sample} for index, sample in enumerate(x_samples())]
    known = walked(original, model := coarser(original, "w", "v", "u"), tmp_path / "x", samples)
    assert known["p"] == "it lies in a graph inside a node (If, Loop, Scan) or in a function"
    deviation = known["y"]
    assert isinstance(deviation, Deviation)
    assert deviation.moved.mean == pytest.approx(by_definition(original, model, "y", samples).mean(axis=0), abs=1e-5)


@pytest.mark.usefixtures("here")
def test_a_function_is_one_step(tmp_path: Path) -> None:
    original = as_model(proto_of(FUNCTION, w=W, v=V, u=U))
    model, samples = coarser(original, "w", "u"), x_samples()
    known = walked(original, model, tmp_path / "x", samples)
    assert known["b"] == "its result has no channels that are known"
    deviation = known["y"]
    assert isinstance(deviation, Deviation)
    assert deviation.moved.mean == pytest.approx(by_definition(original, model, "y", samples).mean(axis=0), abs=1e-5)


@pytest.mark.usefixtures("here")
def test_what_comes_after_random_numbers_is_left_out(tmp_path: Path) -> None:
    body = (
        "g (float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) n = RandomNormalLike(a) b = Add(a, n) y = MatMul(b, v) }"
    )
    original = as_model(proto_of(body, w=W, v=V))
    known = walked(original, coarser(original, "w", "v"), tmp_path / "x", x_samples())
    assert isinstance(known["a"], Deviation)
    assert known["y"] == "it comes after random numbers"


@pytest.mark.usefixtures("here")
def test_a_function_may_draw_them_too(tmp_path: Path) -> None:
    body = FUNCTION.replace("{ p = MatMul(o, k) }", "{ q = RandomNormalLike(o) p = MatMul(q, k) }")
    original = as_model(proto_of(body, w=W, v=V, u=U))
    assert walked(original, original.clone(), tmp_path / "x", x_samples())["y"] == "it comes after random numbers"


@pytest.mark.usefixtures("here")
def test_a_result_of_another_name_is_left_out_and_one_that_differs_in_shape_too(tmp_path: Path) -> None:
    original = as_model(proto_of("g (float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) y = Neg(a) }", w=W))
    other = as_model(proto_of("g (float[N,8] x) => (float[N,8] y) { b = MatMul(x, w) y = Neg(b) }", w=W))
    assert walked(original, other, tmp_path / "x", x_samples()) == {"b": "its result is not one of the original's"}
    wider = as_model(proto_of("g (float[N,8] x) => (float[N,M] y) { a = MatMul(x, w) y = Neg(a) }", w=noise(8, 9)))
    known = walked(original, wider, tmp_path / "x", x_samples())
    assert known == {"a": "its result has another shape than in the original"}


# ------------------------------------------------------------------------------------------------ the child
class Dying(measure.TwoNetworks):
    """Ends at the second block, as a crash of onnxruntime would."""

    def __call__(self, request: Any) -> Any:
        if isinstance(request, measure.Compare):
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(request)


def test_a_crash_of_the_child_names_the_model_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("nncompress.calibrate.walk.TwoNetworks", Dying)
    original = as_model(proto_of(RESIDUAL, w=W, v=V, u=U, c=B))
    original.path = Path("m.onnx")
    said = r"^calibrating block 1 of 3 of the original m\.onnx: onnxruntime crashed \(SIGSEGV\)$"
    with pytest.raises(InputError, match=said):
        walked(original, coarser(original, "w"), tmp_path / "x", x_samples())
    assert {path.name for path in tmp_path.iterdir()} == {"x"}


@pytest.mark.parametrize("process", ["here", "child"])
def test_a_block_that_onnxruntime_refuses_names_the_model(
    process: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_in_process", process == "here")
    original = as_model(proto_of("g (float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) y = Neg(a) }", w=W))
    original.path = Path("m.onnx")
    model = coarser(original, "w")
    model.ir.graph.node(0).attributes.add(ir.AttrInt64("nonsense", 1))
    with pytest.raises(NoOutputError, match=r"^m\.onnx: calibrating block 1 of 1 of it: .*nonsense"):
        walked(original, model, tmp_path / "x", x_samples())


# ------------------------------------------------------------------------------------------------ outputs
@pytest.mark.usefixtures("here")
def test_errors_of_outputs_are_those_of_both_models_run_as_a_whole(tmp_path: Path) -> None:
    body = BRANCHES.replace("float[N,8] z)", "float[N,8] z, int64[K] i)").replace(
        "z = Neg(q)", "z = Neg(q) i = Shape(q)"
    )
    original, samples = as_model(proto_of(body, w=W, v=V, u=U)), x_samples()
    models = [coarser(original, "w"), original, coarser(original, "u", "v")]
    expected = []
    for model in models:
        rows = [(by_definition(original, model, name, samples), results(original, name, samples)) for name in "yz"]
        expected.append(max(np.linalg.norm(error) / np.linalg.norm(np.concatenate(signal)) for error, signal in rows))
    run = CalibrationRun(original, samples_of(tmp_path / "x", original, samples))
    assert run.output_errors(models) == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.usefixtures("here")
def test_outputs_that_are_constants_or_no_numbers_do_not_count(tmp_path: Path) -> None:
    body = "g (float[N,8] x) => (float[8,8] y, int64[K] i) { y = Neg(w) i = Shape(x) }"
    original = as_model(proto_of(body, w=W))
    run = CalibrationRun(original, samples_of(tmp_path / "x", original, x_samples()))
    assert run.output_errors([coarser(original, "w")]) == [0]
