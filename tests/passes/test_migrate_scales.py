"""`migrate-scales`: the network computes what it did, what is in front takes the factors, and rounding costs less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.calibrate.walk import CalibrationRun
from nncompress.errors import UsageError
from nncompress.forms.form import Storing
from nncompress.model.model import Model
from nncompress.passes.context import Context
from nncompress.passes.migrate_scales import MigrateScales
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Outcome, Rewritten, Skipped
from nncompress.runtime import child
from nncompress.workflow.pipeline import compress_graph
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, op_types, proto_from, proto_of, run

Sample = dict[str, np.ndarray]
K = 32
NORM = "n = LayerNormalization<axis=-1>(x, g, b) "
HEAD = "g (float[N,T,32] x) => (float[N,T,P] y"
CASES: dict[str, tuple[str, int]] = {  # body, nodes more than before
    "LayerNormalization": (HEAD + ") { " + NORM + "y = MatMul(n, u) }", 0),
    "without a shift": (HEAD + ") { n = LayerNormalization<axis=-1>(x, g) y = MatMul(n, u) }", 0),
    "several readers": (
        HEAD + ", float[N,T,Q] z) { " + NORM + "y = MatMul(n, u) z = MatMul(n, v) }", 0,
    ),
    "scale and shift of their own": (HEAD + ") { m = Mul(x, g) n = Add(b, m) y = MatMul(n, u) }", 0),
    "scale alone": (HEAD + ") { n = Mul(g, x) y = MatMul(n, u) }", 0),
    "a residual connection": (
        HEAD + ", float[N,T,32] z) { " + NORM + "y = MatMul(n, u) z = Add(n, x) }", 1,
    ),
    "an output": ("g (float[N,T,32] x) => (float[N,T,P] y, float[N,T,32] n) { " + NORM + "y = MatMul(n, u) }", 1),
    "nothing in front": ("g (float[N,T,32] x) => (float[N,T,P] y) { y = MatMul(x, u) }", 1),
    "a constant with two readers": (
        HEAD + ", float[N,T,32] z) { " + NORM + "y = MatMul(n, u) z = Mul(x, g) }", 0,
    ),
    "shift with two readers": (
        HEAD + ", float[N,T,32] m) { m = Mul(x, g) n = Add(m, b) y = MatMul(n, u) }", 1,
    ),
    "Gemm": ("g (float[N,32] x) => (float[N,P] y) { " + NORM + "y = Gemm<transB=1>(n, t) }", 0),
    "several axes": (
        "g (float[N,4,32] x) => (float[N,4,P] y) { n = LayerNormalization<axis=-2>(x, h) y = MatMul(n, u) }", 1,
    ),
}  # fmt: skip
LOUD = np.ones(K, np.float32)
LOUD[:3] = 40


def constants(body: str) -> dict[str, np.ndarray]:
    scale = noise(K, seed=5) * LOUD
    known = {"g": scale, "b": noise(K, seed=6), "u": noise(K, 8, seed=7), "v": noise(K, 5, seed=8),
             "t": noise(8, K, seed=9), "h": np.tile(scale, (4, 1))}  # fmt: skip
    return {
        name: array for name, array in known.items() if any(f"{sep}{name}{end}" in body for sep in " (" for end in ",)")
    }


def samples(shape: tuple[int, ...]) -> list[Sample]:
    return [{"x": noise(*shape, seed=seed) * LOUD} for seed in range(3)]


def shape_of(body: str) -> tuple[int, ...]:
    return (6, K) if "[N,32] x" in body else (2, 4, K)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def migrated(
    proto: onnx.ModelProto, feeds: list[Sample], folder: Path, step: MigrateScales
) -> tuple[Model, list[Outcome]]:
    """What the pass alone makes of the model."""
    model = as_model(proto)
    run = CalibrationRun(model.clone(), samples_of(folder, model, feeds))
    return model, step.apply(model, Context(Storing(model.opset), calibration=run))


@pytest.mark.parametrize("case", CASES)
def test_the_network_computes_what_it_did(case: str, tmp_path: Path) -> None:
    body, more = CASES[case]
    proto = proto_of(body, **constants(body))
    made, outcomes = migrated(proto, samples(shape_of(body)), tmp_path, MigrateScales(min_size=1))
    assert all(isinstance(outcome, Rewritten) for outcome in outcomes)
    assert ("by one Mul more" in str(outcomes)) == bool(more)
    after = op_types(proto_from(made).graph.node)
    assert sorted(after) == sorted([*op_types(proto.graph.node), *["Mul"] * more])
    for feed in samples(shape_of(body)):
        for first, second in zip(run(proto, **feed), run(made, **feed), strict=True):
            assert np.abs(first - second).max() <= 1e-5 * np.abs(first).max()


@pytest.mark.parametrize("case", ["LayerNormalization", "several readers", "a residual connection"])
def test_rounding_costs_less(case: str, tmp_path: Path) -> None:
    body, _ = CASES[case]
    proto = proto_of(body, **constants(body))
    feeds, model = samples(shape_of(body)), as_model(proto)
    quantize = [QuantizeActivations(calibrate="minmax", min_size=1), QuantizeWeights(min_size=1, smallest="same")]
    errors = []
    for passes in (quantize, [MigrateScales(min_size=1), *quantize]):
        made = compress_graph(model, passes, samples=samples_of(tmp_path, model, feeds))
        before, after = (run(each, **feeds[0])[0].astype(np.float64) for each in (proto, made.model))
        errors.append(np.linalg.norm(after - before) / np.linalg.norm(before))
        (line,) = (line for line in made.lines if line.name == "u")
        assert line.sqnr_db is not None
        assert line.sqnr_db > 35  # against the values as they were scaled
    assert errors[1] < errors[0] / 1.5


def test_errors_are_told_against_the_values_as_they_were_scaled(tmp_path: Path) -> None:
    body, _ = CASES["LayerNormalization"]
    model = as_model(proto_of(body, **constants(body)))
    passes = [
        MigrateScales(min_size=1), PruneMagnitude(sparsity=0.1, min_size=1), QuantizeActivations(min_size=1),
        QuantizeWeights(min_size=1, smallest="same"),
    ]  # fmt: skip
    made = compress_graph(model, passes, samples=samples_of(tmp_path, model, samples(shape_of(body))))
    (line,) = (line for line in made.lines if line.name == "u")
    assert line.sqnr_db is not None
    assert line.sqnr_db > 15
    (shown,) = made.worst_values
    before, after = np.array(shown.pairs).T
    kept = after != 0
    assert after[kept] == pytest.approx(before[kept], abs=0.02 * np.abs(before).max())


REASONS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "several values": (
        "g (float[N,32] x) => (float[N,8] y) { n = Relu(x) a = MatMul(x, u) b = MatMul(n, u) y = Add(a, b) }",
        (6, K), "it is multiplied by several values",
    ),
    "left": (
        "g (float[8,N] x) => (float[32,N] y) { y = MatMul(u, x) }",
        (8, 3), "it is not only the second operand of Conv, MatMul and Gemm",
    ),
    "transA": (
        "g (float[32,N] x) => (float[N,8] y) { y = Gemm<transA=1>(x, u) }",
        (K, 6), "it is not only the second operand of Conv, MatMul and Gemm",
    ),
    "vector": (
        "g (float[N,32] x) => (float[N] y) { y = MatMul(x, q) }", (6, K),
        "it is not only the second operand of Conv, MatMul and Gemm",
    ),
    "constant data": (
        "g (float[N,8] x) => (float[N,8] y) { c = MatMul(k, u) y = Add(x, c) }",
        (6, 8), "what it is multiplied by cannot be looked at: it is the same for all inputs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REASONS)
def test_a_weight_that_is_left_alone_has_a_reason(case: str, tmp_path: Path) -> None:
    body, shape, reason = REASONS[case]
    extra = {"u": noise(K, 8), "q": noise(K), "k": noise(1, K)}
    proto = proto_of(
        body, **{name: array for name, array in extra.items() if f"{name})" in body or f"({name}," in body}
    )
    feeds = [{"x": noise(*shape, seed=seed)} for seed in range(2)]
    _, outcomes = migrated(proto, feeds, tmp_path, MigrateScales(min_size=1))
    assert reason in [outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)]


@pytest.mark.parametrize("case", ["LayerNormalization", "nothing in front"])
def test_nothing_moves_for_less_than_is_asked_for(case: str, tmp_path: Path) -> None:
    body, more = CASES[case]
    step = MigrateScales(min_size=1, multiply_gain_db=60) if more else MigrateScales(min_size=1, gain_db=60)
    proto = proto_of(body, **constants(body))
    model, (outcome,) = migrated(proto, samples(shape_of(body)), tmp_path, step)
    assert isinstance(outcome, Skipped)
    assert f"a scale{' that takes one Mul more' * more} would make the error of the product" in outcome.reason
    assert "and 60 is asked for" in outcome.reason
    assert proto_from(model) == proto_from(as_model(proto))


def test_it_says_what_it_is_for(tmp_path: Path) -> None:
    model = as_model(proto_of(CASES["Gemm"][0], **constants(CASES["Gemm"][0])))
    with pytest.raises(
        UsageError, match="migrate-scales alone makes nothing smaller or faster: add quantize-activations"
    ):
        compress_graph(model, [MigrateScales()], samples=samples_of(tmp_path, model, samples((6, K))))


# ------------------------------------------------------------------------------------------------ weights in front
IN_FRONT: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {  # body, shapes of weights
    "Conv and Relu": (
        "g (float[N,3,H,W] x) => (float[N,4,P,Q] y) { a = Conv<pads=[1,1,1,1]>(x, w, c) b = Relu(a) y = Conv(b, v) }",
        {"w": (32, 3, 3, 3), "c": (32,), "v": (4, 32, 3, 3)},
    ),
    "Conv with padding behind": (
        "g (float[N,3,H,W] x) => (float[N,4,P,Q] y) { a = Conv(x, w) b = LeakyRelu(a) y = Conv<pads=[1,1,1,1]>(b, v) }",
        {"w": (32, 3, 3, 3), "v": (4, 32, 3, 3)},
    ),
    "depthwise": (
        "g (float[N,3,H,W] x) => (float[N,32,P,Q] y) { a = Conv(x, w, c) b = Relu(a) y = Conv<group=32>(b, v) }",
        {"w": (32, 3, 3, 3), "c": (32,), "v": (32, 1, 3, 3)},
    ),
    "groups": (
        "g (float[N,8,H,W] x) => (float[N,8,P,Q] y) { a = Conv<group=4>(x, w, c) y = Conv<group=4>(a, v) }",
        {"w": (32, 2, 3, 3), "c": (32,), "v": (8, 8, 3, 3)},
    ),
    "two branches": (
        "g (float[N,3,H,W] x) => (float[N,4,P,Q] y, float[N,5,R,S] z) "
        "{ a = Conv(x, w, c) b = Relu(a) y = Conv(b, v) z = Conv(b, u) }",
        {"w": (32, 3, 3, 3), "c": (32,), "v": (4, 32, 3, 3), "u": (5, 32, 1, 1)},
    ),
    "Gemm": (
        "g (float[N,6] x) => (float[N,4] y) { a = Gemm<transB=1>(x, w, c) b = Relu(a) y = Gemm(b, v) }",
        {"w": (32, 6), "c": (32,), "v": (32, 4)},
    ),
    "MatMul and Add": (
        "g (float[N,T,6] x) => (float[N,T,4] y) { m = MatMul(x, w) a = Add(c, m) b = Relu(a) y = MatMul(b, v) }",
        {"w": (6, 32), "c": (32,), "v": (32, 4)},
    ),
    "three in a row": (
        "g (float[N,6] x) => (float[N,4] y) "
        "{ a = Gemm(x, w, c) b = Relu(a) d = Gemm(b, u) e = Relu(d) y = Gemm(e, v) }",
        {"w": (6, 32), "c": (32,), "u": (32, 32), "v": (32, 4)},
    ),
}  # fmt: skip
NOT_IN_FRONT: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "Clip": (
        "g (float[N,3,H,W] x, float t) => (float[N,4,P,Q] y) { a = Conv(x, w) b = Clip(a, , t) y = Conv(b, v) }",
        {"w": (32, 3, 3, 3), "v": (4, 32, 3, 3)},
    ),
    "a weight with two readers": (
        "g (float[N,3,H,W] x) => (float[N,4,P,Q] y, float[N,32,R,S] z) "
        "{ a = Conv(x, w) b = Relu(a) y = Conv(b, v) n = Neg(x) z = Conv(n, w) }",
        {"w": (32, 3, 3, 3), "v": (4, 32, 3, 3)},
    ),
    "a residual connection": (
        "g (float[N,3,H,W] x) => (float[N,32,P,Q] y) { a = Conv(x, w) b = Relu(a) d = Conv(b, v) y = Add(d, b) }",
        {"w": (32, 3, 3, 3), "v": (32, 32, 1, 1)},
    ),
}  # fmt: skip


def with_loud_channels(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights, of which the one in front and its bias give three channels large values."""
    made = {name: noise(*shape, seed=seed) / 4 for seed, (name, shape) in enumerate(shapes.items())}
    for name in {"w", "c"} & made.keys():
        channels = made[name].shape.index(K)
        made[name] *= LOUD.reshape([-1 if axis == channels else 1 for axis in range(made[name].ndim)])
    return made


def feeds_of(body: str) -> list[Sample]:
    channels = next(c for c in (3, 8, 6) if f"{c},H,W] x" in body or f"{c}] x" in body)
    shape = (2, channels, 9, 9) if "H,W] x" in body else (2, 5, 6) if "T,6] x" in body else (7, 6)
    extra = {"t": np.array(2, np.float32)} if " t) =>" in body else {}
    return [{"x": noise(*shape, seed=seed), **extra} for seed in range(3)]


@pytest.mark.parametrize("case", IN_FRONT)
def test_a_weight_in_front_takes_the_factors(case: str, tmp_path: Path) -> None:
    body, shapes = IN_FRONT[case]
    proto = proto_of(body, **with_loud_channels(shapes))
    made, outcomes = migrated(proto, feeds_of(body), tmp_path, MigrateScales(min_size=1, multiply_gain_db=90))
    taken = {outcome.subject for outcome in outcomes if isinstance(outcome, Rewritten) and "from w" in outcome.detail}
    assert taken == ({"v", "u"} if case == "two branches" else {"u"} if case.startswith("three") else {"v"})
    assert op_types(proto_from(made).graph.node) == op_types(proto.graph.node)
    for feed in feeds_of(body):
        for first, second in zip(run(proto, **feed), run(made, **feed), strict=True):
            assert np.abs(first - second).max() <= 1e-5 * np.abs(first).max()


@pytest.mark.parametrize("case", NOT_IN_FRONT)
def test_what_does_not_scale_stays_as_it_is(case: str, tmp_path: Path) -> None:
    body, shapes = NOT_IN_FRONT[case]
    proto = proto_of(body, **with_loud_channels(shapes))
    made, outcomes = migrated(proto, feeds_of(body), tmp_path, MigrateScales(min_size=1))
    (reason,) = (outcome.reason for outcome in outcomes if isinstance(outcome, Skipped) and outcome.subject == "v")
    assert reason == "something else reads what it is multiplied by, or nothing in front of that can be scaled"
    assert proto_from(made) == proto_from(as_model(proto))


def test_a_factor_of_rows_is_none_of_channels(tmp_path: Path) -> None:
    body = "g (float[32,32] x) => (float[32,4] y) { m = Mul(x, r) y = MatMul(m, v) }"
    proto = proto_of(body, r=noise(K, 1), v=noise(K, 4))
    feeds = [{"x": noise(K, K) * LOUD}]
    made, (outcome,) = migrated(proto, feeds, tmp_path, MigrateScales(min_size=1))
    assert "by one Mul more" in outcome.detail if isinstance(outcome, Rewritten) else False
    (before,), (after,) = run(proto, **feeds[0]), run(made, **feeds[0])
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()


def test_options_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="gain_db and multiply_gain_db must not be below 0, not -1"):
        MigrateScales(gain_db=-1)
