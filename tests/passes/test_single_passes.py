"""What each pass does to a weight, in numbers, and every reason that it gives for leaving one alone."""

from dataclasses import replace

import numpy as np
import pytest

from nncompress.errors import UsageError
from nncompress.forms.choice import constant_bytes
from nncompress.forms.form import Storing
from nncompress.model.encoding import encoded_of
from nncompress.model.model import Model
from nncompress.numerics.affine import Affine
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten, Skipped
from nncompress.workflow.pipeline import compress_graph
from tests.models import context_for, linear, model_of, noise, only_weight, op_types, proto_from, run, weight_named


def applied(one: Pass, model: Model) -> Rewritten | Skipped:
    (outcome,) = one.apply(model, context_for(model))
    return outcome


def reason(one: Pass, model: Model) -> str:
    outcome = applied(one, model)
    assert isinstance(outcome, Skipped)
    assert outcome.by == one.name
    return outcome.reason


def affine(model: Model) -> Affine:
    encoded = encoded_of(only_weight(model))
    assert isinstance(encoded, Affine)
    return encoded


def sqnr_db(before: np.ndarray, after: np.ndarray) -> float:
    before, after = before.astype(np.float64), after.astype(np.float64)
    return float(10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2)))


# ------------------------------------------------------------------------------------------------ quantize-weights
@pytest.mark.parametrize(
    ("options", "detail", "scales"),
    [
        ({}, "int8, symmetric, per channel (axis 1)", (1, 48)),
        ({"dtype": "uint8", "symmetric": False}, "uint8, asymmetric, per channel (axis 1)", (1, 48)),
        ({"granularity": "tensor"}, "int8, symmetric, per tensor", (1, 1)),
        ({"range": "minmax", "symmetric": False}, "int8, asymmetric, per channel (axis 1)", (1, 48)),
    ],
)
def test_quantizing_says_how_and_how_well(options: dict[str, object], detail: str, scales: tuple[int, int]) -> None:
    model = linear(noise(32, 48))
    outcome = applied(QuantizeWeights(**options), model)  # type: ignore[arg-type]
    assert isinstance(outcome, Rewritten)
    assert (outcome.subject, outcome.by, outcome.detail) == ("w", "quantize-weights", detail)
    assert outcome.sqnr_db == pytest.approx(sqnr_db(noise(32, 48), only_weight(model).array()), abs=1e-3)
    assert affine(model).scale.shape == scales
    assert affine(model).signed is (options.get("dtype") != "uint8")
    assert (affine(model).zero_point is None) is ("symmetric" not in options)


def test_tables_have_a_scale_for_each_row_and_tied_weights_one_for_each_output() -> None:
    table = model_of("g (int64[3] i) => (float[3,32] y) { y = Gather(w, i) }", w=noise(50, 32))
    QuantizeWeights(equalise=False).apply(table, context_for(table))
    assert affine(table).scale.shape == (50, 1)
    tied = "g (int64[3] i) => (float[3,50] y) { e = Gather(w, i) t = Transpose(w) y = MatMul(e, t) }"
    model = model_of(tied, w=noise(50, 32))
    QuantizeWeights(equalise=False).apply(model, context_for(model))
    assert affine(model).scale.shape == (50, 1)


def test_outliers_along_inputs_get_a_second_scale_unless_told_not_to() -> None:
    weight = noise(32, 48)
    weight[5] *= 100
    model = linear(weight)
    outcome = applied(QuantizeWeights(), model)
    assert isinstance(outcome, Rewritten)
    assert outcome.detail == "int8, symmetric, per channel (axis 1), equalised"
    assert outcome.sqnr_db == pytest.approx(sqnr_db(weight, only_weight(model).array()), abs=1e-2)
    for options in ({"equalise": False}, {"symmetric": False}, {"dtype": "uint8"}, {"granularity": "tensor"}):
        other = linear(weight)
        QuantizeWeights(**options).apply(other, context_for(other))  # type: ignore[arg-type]
        assert affine(other).input_scale is None


def test_by_default_scales_and_zero_points_come_where_they_pay_and_as_asked_for_otherwise() -> None:
    tied = "g (int64[3] i) => (float[3,2000] y) { e = Gather(w, i) t = Transpose(w) y = MatMul(e, t) }"
    alike = np.random.default_rng(0).uniform(-1, 1, (2000, 16)).astype(np.float32)
    alike[:, 0] = 1  # every row has the same largest value

    def stored(weight: np.ndarray, form: str = "folded", **options: object) -> tuple[str, int, int]:
        model = model_of(tied, w=weight)
        context = replace(context_for(model), storing=Storing(17, form))
        (outcome,) = QuantizeWeights(equalise=False, **options).apply(model, context)  # type: ignore[arg-type]
        assert isinstance(outcome, Rewritten)
        parameters = constant_bytes(model, context.storing) - weight.size
        return outcome.detail, affine(model).scale.size, parameters

    narrow = noise(2000, 16)
    channels, rows = "int8, symmetric, per channel (axis 0)", 2000
    assert stored(narrow) == (channels, rows, rows + 4)
    assert stored(narrow, scales="float32") == (channels, rows, 4 * rows)
    assert stored(narrow, granularity="tensor") == ("int8, symmetric, per tensor", 1, 4)
    assert stored(narrow, symmetric=False)[::2] == ("int8, asymmetric, per channel (axis 0)", 2 * rows + 4)
    assert stored(narrow, "dequantize") == (channels, rows, 5 * rows)
    assert stored(alike) == ("int8, symmetric, per tensor", 1, 4)
    assert stored(alike, granularity="channel")[:2] == (channels, rows)
    positive = np.abs(noise(500, 64))
    assert stored(positive)[0] == "int8, asymmetric, per channel (axis 0)"
    assert stored(positive, symmetric=True)[0] == stored(positive, "dequantize")[0] == channels


def test_quantizing_leaves_weights_alone_whose_scales_would_eat_the_gain() -> None:
    model = model_of("g (float[2,3] x) => (float[2,200] y) { y = MatMul(x, w) }", w=noise(1, 200))
    text = reason(QuantizeWeights(scales="float32"), model)
    assert text == "scales and decoding nodes would eat the gain (800 bytes would become about 1150)"
    assert isinstance(applied(QuantizeWeights(only_if_smaller=False), model), Rewritten)


def test_what_is_quantized_is_never_larger_in_the_file() -> None:
    for rows in range(1, 12):
        model = linear(noise(rows, 64))
        before = proto_from(model).ByteSize()
        compressed = compress_graph(model, [QuantizeWeights(min_size=1)])
        if compressed.changed:
            assert proto_from(compressed.model).ByteSize() < before, rows


@pytest.mark.parametrize(("dtype", "least_db"), [("float16", 70), ("bfloat16", 52)])
def test_halves_take_half_and_lose_next_to_nothing(dtype: str, least_db: float) -> None:
    model = linear(noise(64, 48))
    outcome = applied(QuantizeWeights(dtype=dtype), model)  # type: ignore[arg-type]
    assert isinstance(outcome, Rewritten)
    assert (outcome.detail, outcome.sqnr_db) == (
        dtype, pytest.approx(sqnr_db(noise(64, 48), only_weight(model).array()), abs=1e-3),
    )  # fmt: skip
    assert sqnr_db(noise(64, 48), only_weight(model).array()) > least_db


def test_zeros_of_halves_are_stored_small() -> None:
    compressed = compress_graph(
        linear(noise(128, 96)), [PruneMagnitude(sparsity=0.8), QuantizeWeights(dtype="float16")]
    )
    (line,) = (line for line in compressed.lines if line.kind == "weight")
    assert line.form == "cast, sparse-mask"
    assert line.bytes_after < 0.2 * 2 * 128 * 96 + 128 * 96 / 8 + 200


def test_what_half_precision_cannot_hold_stays_as_it_is() -> None:
    large, small = noise(64, 48) * 1e5, noise(64, 48) * 1e-7
    assert reason(QuantizeWeights(dtype="float16"), linear(large)) == "holds values beyond the range of float16"
    assert reason(QuantizeWeights(dtype="float16"), linear(small)).startswith("most of its values are too small for")
    for values in (large, small):
        assert isinstance(applied(QuantizeWeights(dtype="bfloat16"), linear(values)), Rewritten)
    half = linear(noise(64, 48, dtype=np.float16))
    assert reason(QuantizeWeights(dtype="float16"), half) == "it is stored in half precision already"
    old = linear(noise(64, 48), opset=11)
    assert reason(QuantizeWeights(dtype="bfloat16"), old) == "bfloat16 needs opset 13, and the model has 11"


def test_options_of_integers_are_refused_for_halves() -> None:
    with pytest.raises(UsageError, match="symmetric and range: only for integers, and float16 is none"):
        QuantizeWeights(dtype="float16", symmetric=False, range="minmax")


# ------------------------------------------------------------------------------------------------ prune-magnitude
def test_pruning_drops_the_asked_share_of_each_weight() -> None:
    model = linear(noise(40, 50))
    outcome = applied(PruneMagnitude(sparsity=0.7), model)
    assert isinstance(outcome, Rewritten)
    assert outcome.detail == "70.0% zeros"
    after = only_weight(model).array()
    assert np.count_nonzero(after) == 600
    assert outcome.sqnr_db == pytest.approx(sqnr_db(noise(40, 50), after), abs=1e-3)
    assert applied(PruneMagnitude(), linear(noise(40, 50))).detail == "50.0% zeros"  # type: ignore[union-attr]


def test_a_global_share_takes_more_from_weights_with_small_values() -> None:
    body = "g (float[2,32] x) => (float[2,32] y) { a = MatMul(x, u) y = MatMul(a, v) }"
    model = model_of(body, u=noise(32, 32), v=10 * noise(32, 32, seed=1))
    PruneMagnitude(sparsity=0.5, scope="global", only_if_smaller=False).apply(model, context_for(model))
    zeros = {name: int(np.sum(weight_named(model, name).array() == 0)) for name in "uv"}
    assert sum(zeros.values()) == 1024
    assert zeros["u"] > 5 * zeros["v"]
    limit = np.sort(np.abs(np.concatenate([noise(32, 32), 10 * noise(32, 32, seed=1)])), axis=None)[1024]
    assert np.abs(weight_named(model, "v").array()).max() > limit


def test_a_threshold_drops_what_is_below() -> None:
    model = linear(noise(40, 50))
    applied(PruneMagnitude(threshold=0.8), model)
    assert np.array_equal(only_weight(model).array(), np.where(np.abs(noise(40, 50)) >= 0.8, noise(40, 50), 0))


def test_pruning_leaves_weights_alone_whose_zeros_gain_nothing() -> None:
    text = "zeros would not make it smaller: it is too small, or too few of its values are"
    assert (
        reason(PruneMagnitude(sparsity=0.5, min_size=1), linear(noise(16, 16))) == text
    )  # 1024 bytes, 600 of them for nodes
    assert reason(PruneMagnitude(sparsity=0.01, min_size=1), linear(noise(40, 50))) == text
    kept = linear(noise(16, 16))
    applied(PruneMagnitude(sparsity=0.5, min_size=1, only_if_smaller=False), kept)
    assert np.count_nonzero(only_weight(kept).array()) == 128


def test_pruning_leaves_weights_alone_in_which_nothing_is_small() -> None:
    text = "no value is small enough to become zero"
    assert reason(PruneMagnitude(threshold=1e-9), linear(noise(40, 50))) == text
    few = noise(40, 50)
    few[0, :5] = 0
    assert reason(PruneMagnitude(threshold=1e-9), linear(few)) == text


@pytest.mark.parametrize("scope", ["lamp", "weight", "global"])
def test_zeros_that_are_there_are_stored_small_and_nothing_else_changes(scope: str) -> None:
    half = noise(40, 50)
    half[:20] = 0
    compressed = compress_graph(linear(half), [PruneMagnitude(sparsity=0.0, scope=scope)])  # type: ignore[arg-type]
    (line,) = (line for line in compressed.lines if line.kind == "weight")
    assert (line.form, line.sqnr_db) == ("sparse-mask", None)
    assert [getattr(outcome, "detail", "") for outcome in line.outcomes] == ["50.0% zeros, all of them there before"]
    assert np.array_equal(run(compressed.model, x=np.eye(40, dtype=np.float32))[0], half)


def test_pruning_keeps_float64_exact() -> None:
    model = linear(noise(40, 50, dtype=np.float64))
    PruneMagnitude(sparsity=0.5).apply(model, context_for(model))
    after, before = only_weight(model).array(), noise(40, 50, dtype=np.float64)
    assert np.array_equal(after[after != 0], before[after != 0])


# ------------------------------------------------------------------------------------------------ factorize
def test_factorizing_gives_the_best_approximation_of_the_rank() -> None:
    weight = noise(64, 80)
    model = linear(weight)
    outcome = applied(Factorize(rank=8), model)
    assert isinstance(outcome, Rewritten)
    tail = np.linalg.svd(weight.astype(np.float64), compute_uv=False)[8:]
    assert outcome.detail == "64x80 of rank 8"
    assert outcome.sqnr_db == pytest.approx(10 * np.log10(np.sum(weight.astype(np.float64) ** 2) / np.sum(tail**2)))
    assert op_types(proto_from(model).graph.node) == ["MatMul", "MatMul"]
    assert [list(t.dims) for t in proto_from(model).graph.initializer] == [[64, 8], [8, 80]]
    after = run(model, x=np.eye(64, dtype=np.float32))[0]
    assert np.linalg.norm(after - weight) == pytest.approx(np.linalg.norm(tail), rel=1e-5)


@pytest.mark.parametrize(("options", "rank"), [({"ratio": 0.5}, 17), ({"ratio": 0.001}, 1), ({"rank": 3}, 3)])
def test_the_rank_follows_the_options(options: dict[str, float], rank: int) -> None:
    outcome = applied(Factorize(**options), linear(noise(64, 80)))  # type: ignore[arg-type]
    assert isinstance(outcome, Rewritten)
    assert outcome.detail == f"64x80 of rank {rank}"


def test_energy_keeps_the_asked_share() -> None:
    weight = (noise(64, 10) @ noise(10, 80, seed=1)).astype(np.float32)
    outcome = applied(Factorize(energy=0.9), linear(weight))
    assert isinstance(outcome, Rewritten)
    energies = np.cumsum(np.linalg.svd(weight.astype(np.float64), compute_uv=False) ** 2)
    assert outcome.detail == f"64x80 of rank {int(np.searchsorted(energies, 0.9 * energies[-1])) + 1}"


def test_factorizing_leaves_weights_alone_where_it_would_not_pay() -> None:
    full = linear(noise(64, 80))
    assert reason(Factorize(rank=36), full) == "rank 36 would not pay; only up to 35 would"
    assert reason(Factorize(energy=0.99), full).startswith("needs rank 5")
    assert reason(Factorize(energy=0.99), full).endswith(" for 0.99 of its energy; only up to 35 would pay")
    assert reason(Factorize(), linear(np.zeros((64, 80), np.float32))) == "all its values are zero"


def test_factorizing_says_what_cannot_be_split() -> None:
    table = model_of("g (int64[3] i) => (float[3,64] y) { y = Gather(w, i) }", w=noise(80, 64))
    assert reason(Factorize(rank=2), table) == "Gather cannot be split into two nodes"
    conv = model_of("g (float[1,16,8,8] x) => (float[1,32,6,6] y) { y = Conv(x, w) }", w=noise(32, 16, 3, 3))
    assert reason(Factorize(rank=2), conv) == "only Conv with a kernel of 1 can be split"


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_factors_have_the_type_of_the_weight(kind: type) -> None:
    model = linear(noise(64, 80, dtype=kind))
    Factorize(rank=4).apply(model, context_for(model))
    factors = [weight_named(model, name) for name in ("w.a0", "w.b0")]
    assert {factor.tensor.numpy().dtype for factor in factors} == {np.dtype(kind)}


def test_a_rank_beyond_that_of_the_matrix_gives_finite_factors() -> None:
    weight = np.outer(np.arange(64), np.ones(80)).astype(np.float32)
    model = linear(weight)
    Factorize(rank=35).apply(model, context_for(model))
    assert np.isfinite(run(model, x=noise(2, 64))[0]).all()
