"""Where the bias of a node is, and that moving it moves the result of the node by as much, and nothing else."""

import numpy as np
import pytest

from nncompress.model.edit import Names
from nncompress.model.linear import Bias, Linear, find_linears, move_bias
from nncompress.model.model import Model
from tests.models import model_of, noise, proto_from, run

CONV = "g (float[N,3,6,6] x) => (float[N,4,4,4] y) "
DENSE = "g (float[N,3] x) => (float[N,4] y) "
K, V, U = noise(4, 3, 3, 3), noise(3, 4), noise(4, 3)
B, B2 = noise(4, seed=1), noise(4, seed=2)
NORM = {"scale": noise(4), "shift": noise(4, seed=3), "mean": noise(4, seed=4), "var": np.abs(noise(4)) + 1}
BY = np.array([0.5, -1, 2, 0.25], np.float32)

PLACES = {
    "bias of a Conv": (CONV + "{ y = Conv(x, k, b) }", {"k": K, "b": B}),
    "Conv without one": (CONV + "{ y = Conv(x, k) }", {"k": K}),
    "Add behind a Conv": (CONV + "{ a = Conv(x, k) y = Add(a, b) }", {"k": K, "b": B.reshape(1, 4, 1, 1)}),
    "scalar behind a Conv": (CONV + "{ a = Conv(x, k) y = Add(b, a) }", {"k": K, "b": np.float32(0.5)}),
    "one of all places": (CONV + "{ a = Conv(x, k) y = Add(a, b) }", {"k": K, "b": noise(4, 4)}),
    "ConvTranspose": (
        "g (float[N,4,2,2] x) => (float[N,4,4,4] y) { y = ConvTranspose<group = 2>(x, k) }",
        {"k": noise(4, 2, 3, 3)},
    ),
    "bias of a Gemm": (DENSE + "{ y = Gemm(x, v, b) }", {"v": V, "b": B}),
    "Gemm without one": (DENSE + "{ y = Gemm<transB = 1>(x, u) }", {"u": U}),
    "Gemm with beta": (DENSE + "{ y = Gemm<beta = 0.5>(x, v, b) }", {"v": V, "b": B}),
    "Gemm without one, with beta": (DENSE + "{ y = Gemm<beta = 0.5>(x, v) }", {"v": V}),
    "row of a Gemm": (DENSE + "{ y = Gemm(x, v, b) }", {"v": V, "b": B.reshape(1, 4)}),
    "number of a Gemm": (DENSE + "{ y = Gemm(x, v, b) }", {"v": V, "b": np.float32(2)}),
    "MatMul and Add": (DENSE + "{ a = MatMul(x, v) y = Add(a, b) }", {"v": V, "b": B}),
    "Add and MatMul": (DENSE + "{ a = MatMul(x, v) y = Add(b, a) }", {"v": V, "b": B.reshape(1, 4)}),
    "MatMul of three axes": (
        "g (float[N,5,3] x) => (float[N,5,4] y) { a = MatMul(x, v) y = Add(a, b) }", {"v": V, "b": noise(5, 4)},
    ),
}  # fmt: skip


def only_linear(model: Model) -> Linear:
    (linear,) = find_linears(model)
    return linear


def bias_of(model: Model) -> Bias:
    bias = only_linear(model).bias
    assert isinstance(bias, Bias), bias
    return bias


def feed_of(model: Model) -> np.ndarray:
    (value,) = model.ir.graph.inputs
    assert value.shape is not None
    return noise(*(size if isinstance(size, int) else 2 for size in value.shape), seed=9)


@pytest.mark.parametrize("place", PLACES)
def test_the_result_moves_by_what_its_bias_is_moved_by(place: str) -> None:
    body, constants = PLACES[place]
    model = model_of(body, **constants)
    x = feed_of(model)
    before = run(model, x=x)[0]
    move_bias(model, bias_of(model), BY.astype(np.float64), Names(model))
    after = run(model, x=x)[0]
    by = BY if before.ndim < 4 else BY.reshape(4, 1, 1)
    # the sum of at most 28 products is rounded anew
    assert np.abs(after - before - by).max() <= 64 * np.finfo(np.float32).eps * (np.abs(before).max() + 2)


def test_a_normalisation_behind_a_conv_takes_it_from_its_mean_and_grows_by_nothing() -> None:
    body = CONV + "{ a = Conv(x, k) y = BatchNormalization(a, scale, shift, mean, var) }"
    model = model_of(body, k=K, **NORM)
    x, size = feed_of(model), len(proto_from(model).SerializeToString())
    before = run(model, x=x)[0]
    move_bias(model, bias_of(model), BY.astype(np.float64), Names(model))
    gain = (NORM["scale"] / np.sqrt(NORM["var"] + 1e-5) * BY).reshape(4, 1, 1)
    assert np.abs(run(model, x=x)[0] - before - gain).max() <= 1e-5
    assert len(proto_from(model).SerializeToString()) == size


def test_a_bias_that_others_read_is_left_to_them() -> None:
    body = "g (float[N,3] x) => (float[N,4] y, float[N,4] z) { y = Gemm(x, v, b) z = Gemm(x, w, b) }"
    model = model_of(body, v=V, w=noise(3, 4, seed=5), b=B)
    x = noise(2, 3)
    y, z = run(model, x=x)
    first, _ = find_linears(model)
    assert isinstance(first.bias, Bias)
    move_bias(model, first.bias, BY.astype(np.float64), Names(model))
    moved, same = run(model, x=x)
    assert np.abs(moved - y - BY).max() <= 1e-5
    assert np.array_equal(same, z)
    assert sorted(model.ir.graph.initializers) == ["b", "bias0", "v", "w"]


def test_a_bias_keeps_its_name_and_its_type() -> None:
    model = model_of("g (float16[N,3] x) => (float16[N,4] y) { y = Gemm(x, v, b) }", v=V.astype("f2"), b=B.astype("f2"))
    move_bias(model, bias_of(model), BY.astype(np.float64), Names(model))
    tensor = model.ir.graph.initializers["b"].const_value
    assert tensor is not None
    assert tensor.numpy().dtype == np.float16
    assert np.array_equal(tensor.numpy(), (B.astype("f2").astype(np.float64) + BY).astype("f2"))


def test_it_says_what_would_not_fit_into_the_type() -> None:
    model = model_of("g (float16[N,3] x) => (float16[N,4] y) { y = Gemm(x, v, b) }", v=V.astype("f2"), b=B.astype("f2"))
    assert not np.isfinite(bias_of(model).moved(np.full(4, 1e6))).all()


IF = (
    "g (bool c, float[N,3] x) => (float[N,4] y) { y = If(c) <"
    "then_branch = t () => (float[N,4] a) { a = Gemm(x, v, b) }, "
    "else_branch = e () => (float[N,4] d) { d = Gemm(x, v) }> }"
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (DENSE + "{ y = MatMul(x, v) }", "nothing is added to its result that could be moved"),
        (DENSE + "{ a = MatMul(x, v) y = Relu(a) }", "nothing is added to its result that could be moved"),
        ("g (float[N,3] x) => (float[N,4] a, float[N,4] y) { a = MatMul(x, v) y = Add(a, b) }", "nothing is added"),
        ("g (float[N,3] x, float[4] z) => (float[N,4] y) { y = Gemm(x, v, z) }", "its bias is computed, or an input"),
        (DENSE + "{ c = Relu(b) y = Gemm(x, v, c) }", "its bias is computed, or an input"),
        (DENSE + "{ y = Gemm<beta = 0.0>(x, v, b) }", "its bias does not count: beta is 0"),
        ("g (float[4,N] x) => (float[3,N] y) { y = MatMul(v, x) }", "it multiplies from the left"),
        ("g (int64[N] x) => (float[N,4] y) { y = Gather(v, x) }", "it is looked up"),
        ("g (float[N,3] x) => (float[N] y) { y = MatMul(x, q) }", "its result has no channels"),
        ("g (float[N,3] x) => (float[N,4] y) { y = Einsum<equation = \"nk,km->nm\">(x, v) }", "Einsum adds no bias"),
    ],
)  # fmt: skip
def test_a_place_without_a_bias_is_left_with_a_reason(body: str, reason: str) -> None:
    model = model_of(body, v=V, b=B, q=noise(3))
    bias = only_linear(model).bias
    assert isinstance(bias, str)
    assert reason in bias


def test_one_node_with_two_weights_is_one_place_and_two_nodes_with_one_are_two() -> None:
    body = (
        "g (float[N,3] x) => (float[N,8] y, float[N,4] z) "
        "{ w = Concat<axis = 1>(u, v) a = MatMul(x, w) y = Add(a, c) d = MatMul(x, v) z = Add(d, b) }"
    )
    both, alone = find_linears(model_of(body, u=noise(3, 4, seed=7), v=V, b=B, c=noise(8)))
    assert [weight.name for weight in both.weights] == ["u", "v"]
    assert [weight.name for weight in alone.weights] == ["v"]


def test_nodes_in_branches_are_found_too() -> None:
    kinds = [type(linear.bias) for linear in find_linears(model_of(IF, v=V, b=B))]
    assert kinds == [Bias, Bias]
