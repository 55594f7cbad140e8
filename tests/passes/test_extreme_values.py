"""Values at the ends of their types: finite stays finite, the rest exact, and the stated error is the real one."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.results.record import Rewritten, Skipped
from nncompress.workflow.pipeline import compress_graph
from tests.models import CONTEXT, constants_of, context_for, linear, model_of, noise, only_weight, proto_from, session

K, N = 40, 56
TYPES: dict[str, Any] = {
    "float": np.float32, "float16": np.float16, "double": np.float64, "bfloat16": ml_dtypes.bfloat16,
}  # fmt: skip
EXACT = "holds infinite values or NaN, which stay exact"
HUGE, TINY = "holds values beyond the range of float32", "all its values are below 1e-35"
QUANTIZERS = [
    QuantizeWeights(dtype=dtype, symmetric=symmetric, granularity=granularity, range=range_)
    for dtype, symmetric, granularity, range_ in itertools.product(
        ("int8", "uint8"), (True, False), ("channel", "tensor"), ("minmax", "mse")
    )
]
PRUNERS = [
    PruneMagnitude(sparsity=sparsity, scope=scope)
    for sparsity, scope in itertools.product((0.5, 0.95), ("lamp", "weight", "global"))
]
EACH_PASS: list[Pass] = [*QUANTIZERS, *PRUNERS, PruneMagnitude(threshold=0.3), Factorize(rank=3, min_size=1)]


def extremes(dtype: Any) -> dict[str, np.ndarray]:
    """Weights [K, N] by what is odd about them."""
    limits = ml_dtypes.finfo(dtype)
    largest, normal, least = (float(v) for v in (limits.max, limits.smallest_normal, limits.smallest_subnormal))
    even = np.random.default_rng(0).uniform(-1, 1, (K, N))
    made = {
        "ordinary": even, "up to the largest": even * largest, "largest": np.where(even > 0, largest, -largest),
        "positive, up to the largest": np.abs(even) * largest, "negative, slightly": np.where(even > 0, 1, 0.01) * even,
        "normal but tiny": even * normal * 4, "denormal": even * least * 20, "zero": np.zeros((K, N)),
        "negative zero": -np.zeros((K, N)), "constant": np.full((K, N), 0.37),
        "largest constant": np.full((K, N), largest), "least constant": np.full((K, N), least),
    }  # fmt: skip
    for name, factor in (("largest", largest), ("denormal", least * 20)):
        made |= {f"one {what} {name}": even.copy() for what in ("value", "row", "column")}
        made[f"one value {name}"][3, 5] = factor
        made[f"one row {name}"][3] *= factor
        made[f"one column {name}"][:, 5] *= factor
    for name, value in (("NaN", np.nan), ("infinity", np.inf), ("-infinity", -np.inf)):
        made[f"one {name}"] = even.copy()
        made[f"one {name}"][7, 9] = value
        made[f"all {name}"] = np.full((K, N), value)
    made["negative, slightly"] *= largest
    return {name: array.astype(dtype) for name, array in made.items()}


def read_everywhere(kind: str, weights: dict[str, np.ndarray], *, as_tables: bool) -> Model:
    """All weights in one model, each with an output of its own that is its very values."""
    cast, of = ("f{0} = Cast<to=1>({1})", "float") if kind == "bfloat16" else ("f{0} = Identity({1})", kind)
    constants = {f"w{i}": array for i, array in enumerate(weights.values())}
    nodes, rows, outputs = [], "float" if kind == "bfloat16" else kind, []
    for i, name in enumerate(constants):
        if as_tables:
            nodes += [f"g{i} = Gather({name}, ids)", f"{cast.format(i, f'g{i}')}"]
            outputs.append(f"{of}[{K},{N}] f{i}")
        else:
            nodes += [cast.format(i, name), f"y{i} = MatMul(x, f{i})"]
            outputs += [f"{of}[{K},{N}] f{i}", f"{of}[{K},{N}] y{i}"]
    inputs = f"int64[{K}] ids" if as_tables else f"{rows}[{K},{K}] x"
    body = f"g ({inputs}) => ({', '.join(outputs)}) {{ {' '.join(nodes)} }}"
    return model_of(body, opset=17, **constants)


def feed(kind: str, *, as_tables: bool) -> dict[str, np.ndarray]:
    unit = np.eye(K, dtype=np.float32 if kind == "bfloat16" else TYPES[kind])
    return {"ids": np.arange(K)} if as_tables else {"x": unit}


def sqnr_db(before: np.ndarray, after: np.ndarray) -> float:
    """Infinite where nothing was lost; in units of the largest value, whose square may exceed a float64."""
    unit = np.abs(before).max() or 1.0
    signal, noise_ = np.sum((before / unit) ** 2), np.sum((before / unit - after / unit) ** 2)
    return float(10 * np.log10(signal / noise_)) if noise_ > 0 else np.inf


def check(kind: str, weights: dict[str, np.ndarray], one: Pass, form: str, *, as_tables: bool) -> None:
    compressed = compress_graph(read_everywhere(kind, weights, as_tables=as_tables), [one], form=form)
    outcomes = {o.subject: o for o in compressed.outcomes if o.by == one.name}
    assert len(outcomes) >= len(weights) - 3, "only zeros are the same twice"
    decoded = session(compressed.model, exact=True).run(
        [f"f{i}" for i in range(len(weights))], feed(kind, as_tables=as_tables)
    )
    for i, (name, found) in enumerate(zip(weights, decoded, strict=True)):
        outcome = outcomes.get(f"w{i}")
        if isinstance(outcome, Skipped):
            before = weights[name].astype(found.dtype)
            assert np.array_equal(before, found, equal_nan=True), (name, one)
            assert np.array_equal(np.signbit(before), np.signbit(found)), (name, one)
        elif outcome is not None:
            assert np.isfinite(found).all(), (name, one)
            real = sqnr_db(weights[name].astype(np.float64), found.astype(np.float64))
            stated = np.inf if outcome.sqnr_db is None else outcome.sqnr_db
            assert real >= min(stated, 120) - 0.01, (name, one, stated)
            assert isinstance(one, PruneMagnitude) or stated > 25, (name, one)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.slow
def test_values_stay_finite_or_exact_and_the_stated_error_is_the_real_one(kind: str) -> None:
    for one in QUANTIZERS + PRUNERS:
        check(kind, extremes(TYPES[kind]), one, "folded", as_tables=False)


@pytest.mark.parametrize("kind", TYPES)
def test_the_same_holds_for_the_other_forms(kind: str) -> None:
    for one in (QUANTIZERS[0], QUANTIZERS[12]):
        check(kind, extremes(TYPES[kind]), one, "folded", as_tables=True)
        check(kind, extremes(TYPES[kind]), one, "dequantize", as_tables=False)


@pytest.mark.parametrize("kind", ["float", "float16", "double"])
def test_factors_stay_finite_and_are_as_close_as_stated(kind: str) -> None:
    for name, weight in extremes(TYPES[kind]).items():
        for one in (Factorize(rank=3, min_size=1), Factorize(ratio=0.6, min_size=1)):
            compressed = compress_graph(linear(weight), [one])
            (outcome,) = [outcome for outcome in compressed.outcomes if outcome.by == "factorize"]
            if isinstance(outcome, Skipped):
                assert constants_of(proto_from(compressed.model))["w"].tobytes() == weight.tobytes()
                continue
            found = session(compressed.model).run(None, feed(kind, as_tables=False))[0]
            assert np.isfinite(found).all(), name
            stated = np.inf if outcome.sqnr_db is None else outcome.sqnr_db
            # sums of products are rounded to the type of the weight once more
            rounding = -20 * np.log10(float(ml_dtypes.finfo(TYPES[kind]).eps)) - 10
            noise_ = 10 ** (-stated / 10) + 10 ** (-rounding / 10)
            assert sqnr_db(weight.astype(np.float64), found.astype(np.float64)) >= -10 * np.log10(noise_) - 0.2, name


@pytest.mark.parametrize("kind", ["float", "float16"])
def test_factors_whose_product_would_overflow_are_not_made(kind: str) -> None:
    limit = float(np.finfo(TYPES[kind]).max)
    weight = np.where(noise(K, N) > 0, limit, -limit).astype(TYPES[kind])
    (outcome,) = Factorize(ratio=0.6, min_size=1).apply(linear(weight / 8), CONTEXT)
    assert isinstance(outcome, Rewritten)
    (outcome,) = Factorize(ratio=0.6, min_size=1).apply(linear(weight), CONTEXT)
    assert isinstance(outcome, Skipped)
    assert outcome.reason == f"products of its factors would be more than {np.dtype(TYPES[kind]).name} can hold"


@pytest.mark.parametrize("one", EACH_PASS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("value", "reason"),
    [(1e300, HUGE), (1e39, HUGE), (1e-300, TINY), (1e-36, TINY), (np.nan, EXACT), (np.inf, EXACT), (-np.inf, EXACT)],
)
def test_values_that_float32_cannot_express_are_left_alone(one: Pass, value: float, reason: str) -> None:
    weight = noise(K, N, dtype=np.float64) if abs(value) > 1 or np.isnan(value) else np.zeros((K, N))
    weight[7, 9] = value
    model = linear(weight)
    (outcome,) = one.apply(model, context_for(model))
    assert isinstance(outcome, Skipped)
    assert outcome.reason.startswith(reason)
    assert only_weight(model).array().tobytes() == weight.tobytes()


def test_shares_of_all_weights_together_leave_out_what_is_not_finite() -> None:
    body = "g (float[2,40] x) => (float[2,40] y) { a = MatMul(x, u) y = MatMul(a, v) }"
    broken = np.full((40, 40), np.nan, np.float32)
    for scope in ("lamp", "global"):
        model = model_of(body, u=noise(40, 40), v=broken)
        outcomes = PruneMagnitude(sparsity=0.25, scope=scope).apply(model, context_for(model))  # type: ignore[arg-type]
        assert {type(outcome) for outcome in outcomes} == {Rewritten, Skipped}
        zeros = int(np.sum(constants_of(proto_from(model))["u"] == 0))
        assert zeros == 400


@pytest.mark.parametrize(
    "step", [QuantizeWeights(bits=4), ShareWeights(bits=3, granularity="channel"), ShareWeights(bits=5, sparsity=0.3)]
)
def test_channels_that_training_has_given_up_do_not_fill_with_denormals(step: Pass) -> None:
    values = noise(64, 96)
    values[:, ::7] = 0
    values[5, ::7] = 1e-42
    values[:, 1::7] *= np.float32(1e-33)
    model = linear(values)
    step.apply(model, context_for(model))
    encoded = encoded_of(only_weight(model))
    assert encoded is not None
    made = encoded.decode()
    denormal = (made != 0) & (np.abs(made) < np.finfo(np.float32).tiny)
    assert not denormal.any()
    assert np.abs(made[:, ::7]).max() < 0.01
    assert np.square(values - made).sum() < 0.1 * np.square(values).sum()
