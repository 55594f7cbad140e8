"""Selecting weights, options and the order of passes: what cannot be meant is refused with what would be right."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from nncompress.errors import EXIT_USAGE, UsageError
from nncompress.model.model import Model
from nncompress.model.weights import find_weights
from nncompress.passes import ALL_PASSES, pass_named
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.passes.factorize import Factorize
from nncompress.passes.parallel import IN_FLIGHT_BYTES, in_parallel
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.spec import parse_step
from nncompress.results.record import Outcome, Rewritten, Skipped
from nncompress.workflow.pipeline import check_passes, compress_graph
from tests.models import CONTEXT, as_model, context_for, linear, model_of, noise, proto_of

WITHOUT_DATA = [kind for kind in ALL_PASSES if not kind.needs]  # others: see test_correct_biases.py
F, P, Q = Factorize(rank=2, min_size=64), PruneMagnitude(), QuantizeWeights()


def model() -> Model:
    """Three weights; the node that reads the last one is called head."""
    body = "g (float[2,32] x) => (float[2,32] y) { a = MatMul(x, enc_0) b = MatMul(a, enc_1) y = MatMul(b, dec) }"
    values = [noise(32, 32, seed=i, dtype=np.float16).astype(np.float32) for i in range(3)]  # which any pass can store
    proto = proto_of(body, **dict(zip(("enc_0", "enc_1", "dec"), values, strict=True)))
    proto.graph.node[2].name = "head"
    return as_model(proto)


def outcomes(one: Pass, of: Model) -> dict[str, str]:
    """{weight: reason or "rewritten"}"""
    return {o.subject: o.reason if isinstance(o, Skipped) else "rewritten" for o in one.apply(of, context_for(of))}


# ------------------------------------------------------------------------------------------------ select
@pytest.mark.parametrize("kind", WITHOUT_DATA)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": ("enc_*",)}, ["rewritten", "rewritten", "not included"]),
        ({"include": ("head",)}, ["not included", "not included", "rewritten"]),
        ({"include": ("dec", "enc_1")}, ["not included", "rewritten", "rewritten"]),
        ({"exclude": ("enc_?",)}, ["excluded", "excluded", "rewritten"]),
        ({"include": ("enc_*",), "exclude": ("*_1",)}, ["rewritten", "excluded", "not included"]),
        ({"exclude": ("h[de]ad",)}, ["rewritten", "rewritten", "excluded"]),
    ],
)
def test_globs_match_names_of_weights_and_of_nodes(
    kind: type[Pass], options: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    rank = {"rank": 2} if kind is Factorize else {}
    found = outcomes(kind(min_size=64, **rank, **options), model())  # type: ignore[arg-type]
    assert [found[name] for name in ("enc_0", "enc_1", "dec")] == expected


@pytest.mark.parametrize("kind", WITHOUT_DATA)
def test_weights_are_chosen_by_the_types_of_their_readers_too(kind: type[Pass]) -> None:
    body = "g (float[2,32] x) => (float[2,32] y) { a = MatMul(x, w) b = Gemm(a, v) c = MatMul(b, t) y = Gemm(c, t) }"
    names = ("w", "v", "t")
    values = [noise(32, 32, seed=i, dtype=np.float16).astype(np.float32) for i in range(3)]
    options = {"rank": 2} if kind is Factorize else {}

    def left(**chosen: object) -> list[bool]:
        found = outcomes(
            kind(min_size=64, **options, **chosen), model_of(body, **dict(zip(names, values, strict=True)))
        )  # type: ignore[arg-type]
        return ["--op-types" in found[name] for name in names]

    assert left(op_types=("MatMul",)) == [False, True, False]
    assert left(op_types=("Gemm",)) == [True, False, False]
    assert left(op_types=("MatMul", "Gemm")) == [False, False, False]
    with pytest.raises(
        UsageError, match="no operator of type 'Conv' reads a weight: those that read one are Gemm, Mat"
    ):
        left(op_types=("MatMul", "Conv"))


@pytest.mark.parametrize("name", ["encoder.layers[0].kernel", "params['Dense_0']['kernel']", "a*b", "[w]"])
def test_a_name_that_looks_like_a_glob_means_itself(name: str) -> None:
    model = linear(noise(32, 32))
    rename(model, name)
    assert outcomes(QuantizeWeights(exclude=(name,)), model) == {name: "excluded"}
    assert outcomes(QuantizeWeights(include=(name,), only_if_smaller=False), model) == {name: "rewritten"}


def rename(model: Model, name: str) -> None:
    """Calls its only weight so."""
    value = find_weights(model)[0].value
    del model.ir.graph.initializers["w"]
    value.name = name
    model.ir.graph.initializers.add(value)


@pytest.mark.parametrize("kind", WITHOUT_DATA)
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_glob_that_matches_nothing_is_an_error_with_the_nearest_name(kind: type[Pass], option: str) -> None:
    with pytest.raises(
        UsageError, match=r"'enc_2' matches no weight and no node that reads one \(did you mean 'enc_"
    ) as e:
        kind(**{option: ("enc_0", "enc_2")}).apply(model(), CONTEXT)  # type: ignore[arg-type]
    assert e.value.exit_code == EXIT_USAGE
    with pytest.raises(UsageError, match=r"'ENC_\*' matches no weight"):
        kind(**{option: ("ENC_*",)}).apply(model(), CONTEXT)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", WITHOUT_DATA)
def test_weights_below_the_smallest_size_are_left_alone(kind: type[Pass]) -> None:
    options = {"rank": 2} if kind is Factorize else {}
    reason = "fewer than 1025 elements (--min-size)"
    assert set(outcomes(kind(min_size=1025, **options), model()).values()) == {reason}  # type: ignore[arg-type]
    assert set(outcomes(kind(min_size=1024, **options), model()).values()) == {"rewritten"}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", WITHOUT_DATA)
def test_inputs_that_may_be_overridden_and_outputs_are_left_alone(kind: type[Pass]) -> None:
    body = "g (float[2,32] x, float[32,32] w) => (float[2,32] y, float[32,32] v) { a = MatMul(x, w) y = MatMul(a, v) }"
    options = {"rank": 2} if kind is Factorize else {}
    found = outcomes(kind(min_size=1, **options), model_of(body, w=noise(32, 32), v=noise(32, 32, seed=1)))  # type: ignore[arg-type]
    assert found == {
        "w": "it is also an input of the graph (--freeze-inputs makes it a constant)",
        "v": "it is an output of the graph",
    }


@pytest.mark.parametrize("kind", [Factorize, PruneMagnitude, QuantizeWeights])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_weights_that_are_not_finite_stay_exact(kind: type[Pass], value: float) -> None:
    weight = noise(32, 32)
    weight[7, 9] = value
    options = {"rank": 2} if kind is Factorize else {}
    of = model_of("g (float[2,32] x) => (float[2,32] y) { y = MatMul(x, w) }", w=weight)
    assert outcomes(kind(min_size=1, **options), of) == {"w": "holds infinite values or NaN, which stay exact"}  # type: ignore[arg-type]
    assert find_weights(of)[0].array().tobytes() == weight.tobytes()


@pytest.mark.parametrize("kind", WITHOUT_DATA)
@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_empty_weights_are_left_alone(kind: type[Pass], shape: tuple[int, int]) -> None:
    of = model_of(f"g (float[2,{shape[0]}] x) => (float[2,{shape[1]}] y) {{ y = MatMul(x, w) }}", w=noise(*shape))
    assert outcomes(kind(min_size=0), of) == {"w": "fewer than 0 elements (--min-size)"}


def test_a_model_without_weights_has_no_outcomes() -> None:
    of = model_of("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    assert [kind().apply(of, context_for(of)) for kind in WITHOUT_DATA] == [[]] * len(WITHOUT_DATA)
    compressed = compress_graph(of, [Q])
    assert not compressed.changed


# ------------------------------------------------------------------------------------------------ options
@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (
            lambda: Factorize(rank=2, energy=0.9),
            "factorize: give one of rank, energy, ratio and keep, not rank and energy",
        ),
        (
            lambda: Factorize(rank=2, ratio=0.5, energy=0.9),
            "give one of rank, energy, ratio and keep, not rank and energy and ratio",
        ),
        (lambda: Factorize(rank=0), "factorize: rank must be at least 1, not 0"),
        (lambda: Factorize(rank=-3), "rank must be at least 1, not -3"),
        (lambda: Factorize(energy=0.0), "energy must lie between 0 and 1, not at 0.0"),
        (lambda: Factorize(energy=1.0), "energy must lie between 0 and 1, not at 1.0"),
        (lambda: Factorize(ratio=1.5), "ratio must lie between 0 and 1, not at 1.5"),
        (lambda: Factorize(ratio=float("nan")), "ratio must lie between 0 and 1, not at nan"),
        (
            lambda: PruneMagnitude(sparsity=0.5, threshold=0.1),
            "prune-magnitude: give a sparsity or a threshold, not both",
        ),
        (lambda: PruneMagnitude(sparsity=-0.1), "sparsity must lie between 0 and 1, not at -0.1"),
        (lambda: PruneMagnitude(sparsity=1.0), "sparsity must lie between 0 and 1, not at 1.0"),
        (lambda: PruneMagnitude(sparsity=50), "sparsity must lie between 0 and 1, not at 50"),
        (lambda: PruneMagnitude(threshold=0.0), "threshold must be above 0, not 0.0"),
        (lambda: PruneMagnitude(threshold=-1), "threshold must be above 0, not -1"),
        (lambda: PruneMagnitude(threshold=float("nan")), "threshold must be above 0, not nan"),
        (
            lambda: PruneMagnitude(threshold=1, scope="global"),
            "a threshold is the same for all weights anyway: leave scope out",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused_when_a_pass_is_made(made: Callable[[], Pass], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        made()
    assert problem in str(caught.value)


def test_everything_wrong_with_options_is_said_at_once_in_the_words_of_the_command_line() -> None:
    with pytest.raises(UsageError) as made:
        QuantizeWeights(bits=9, dtype="int7", min_size="many", include="fc1")
    assert str(made.value) == (
        "quantize-weights: include must be a list, not 'fc1'; min_size must be a whole number, not 'many'; "
        "bits must be 2, 3, 4, 5, 6, 7 or 8, not 9; dtype must be 'int8', 'uint8', 'float16' or 'bfloat16', not 'int7'"
    )
    with pytest.raises(UsageError) as typed:
        parse_step("quantize-weights:bits=9")
    assert str(typed.value) == "quantize-weights: bits must be 2, 3, 4, 5, 6, 7 or 8, not 9"


def test_options_are_taken_as_they_are_typed_and_written() -> None:
    made = QuantizeWeights(bits="8", include=["fc1*"], elementwise_db=40)
    assert made == QuantizeWeights(include=("fc1*",), elementwise_db=40.0)
    assert hash(made) == hash(QuantizeWeights(include=("fc1*",), elementwise_db=40.0))


@pytest.mark.parametrize("one", [F, P, Q, Factorize(), Factorize(energy=0.5), PruneMagnitude(threshold=0.1)])
def test_options_that_can_be_meant_have_no_problem(one: Pass) -> None:
    assert one.problem() is None


# ------------------------------------------------------------------------------------------------ order
@pytest.mark.parametrize("order", [[F], [P], [Q], [F, P], [F, Q], [P, Q], [F, P, Q], [P, P], [F, F]])
def test_orders_in_which_nothing_is_undone_are_allowed(order: list[Pass]) -> None:
    check_passes(order, calibrated=False)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (
            [Q, P],
            "prune-magnitude after quantize-weights would undo it; the order that works: prune-magnitude, quantize-w",
        ),
        ([Q, F], "factorize after quantize-weights would undo it; the order that works: factorize, quantize-weights"),
        ([P, F], "factorize after prune-magnitude would undo it; the order that works: factorize, prune-magnitude"),
        ([F, Q, P], "the order that works: factorize, prune-magnitude, quantize-weights"),
        ([], "no passes given: name at least one"),
    ],
)
def test_an_order_that_undoes_a_pass_is_refused_with_the_right_one(order: list[Pass], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_passes(order, calibrated=False)
    assert message in str(caught.value)


def test_an_unknown_pass_is_an_error_with_the_nearest_name() -> None:
    assert [pass_named(kind.name) for kind in ALL_PASSES] == list(ALL_PASSES)
    with pytest.raises(
        UsageError, match=r"unknown pass 'prun-magnitude' \(did you mean 'prune-magnitude'\?\); there are"
    ):
        pass_named("prun-magnitude")


# ------------------------------------------------------------------------------------------------ threads
def test_results_come_in_order_whatever_the_threads_do() -> None:
    body = (
        "g (float[2,8] x) => (float[2,8] y) { "
        + " ".join(f"v{i} = MatMul(x, w{i})" for i in range(20))
        + " y = Relu(v0) }"
    )
    weights = find_weights(model_of(body, **{f"w{i}": noise(8, 8, seed=i) for i in range(20)}))
    barrier = threading.Barrier(4, timeout=20)

    def work(weight: object) -> int:
        barrier.wait()  # four run at the same time
        return threading.get_ident()

    found = list(in_parallel(weights, work, 4))
    assert [weight.name for weight, _ in found] == [f"w{i}" for i in range(20)]
    assert len({thread for _, thread in found}) == 4
    assert IN_FLIGHT_BYTES > 0


@pytest.mark.parametrize("kind", WITHOUT_DATA)
def test_outcomes_do_not_depend_on_the_number_of_threads(kind: type[Pass]) -> None:
    options = {"rank": 2} if kind is Factorize else {}
    runs: list[list[Outcome]] = [
        kind(min_size=1, **options).apply(model(), Context(CONTEXT.storing, threads=threads))  # type: ignore[arg-type]
        for threads in (1, 2, 8)
    ]
    assert runs[0] == runs[1] == runs[2]
    assert all(isinstance(outcome, Rewritten) for outcome in runs[0])
