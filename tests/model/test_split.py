"""Splitting a node in two: with factors of full rank the model computes the same, and every refusal says why."""

import numpy as np
import onnx
import pytest

from nncompress.model.edit import Draft, Names, put_instead
from nncompress.model.model import Model
from nncompress.model.split import as_matrix, as_stored, factor_shapes, matrix_shape, obstacle, split_readers
from tests.models import model_of, noise, op_types, proto_from, run, weight_named

CASES = {
    "MatMul": ("g (float[2,6] x) => (float[2,5] y) { y = MatMul(x, w) }", (6, 5), (2, 6)),
    "MatMul of 3-D": ("g (float[3,2,6] x) => (float[3,2,5] y) { y = MatMul(x, w) }", (6, 5), (3, 2, 6)),
    "Gemm": ("g (float[2,6] x) => (float[2,5] y) { y = Gemm<alpha=0.5, beta=2.0>(x, w, b) }", (6, 5), (2, 6)),
    "Gemm transB": ("g (float[2,6] x) => (float[2,5] y) { y = Gemm<transB=1>(x, w, b) }", (5, 6), (2, 6)),
    "Conv": ("g (float[1,6,4,4] x) => (float[1,5,4,4] y) { y = Conv(x, w, b) }", (5, 6, 1, 1), (1, 6, 4, 4)),
    "Conv 1-D with strides and pads": (
        "g (float[1,6,7] x) => (float[1,5,5] y) { y = Conv<strides=[2],pads=[1,1],kernel_shape=[1]>(x, w, b) }",
        (5, 6, 1),
        (1, 6, 7),
    ),
    "two readers": (
        "g (float[2,6] x) => (float[4,5] y) { p = MatMul(x, w) q = MatMul(x, w) y = Concat<axis=0>(p, q) }",
        (6, 5),
        (2, 6),
    ),
    "in a branch": (
        "g (float[2,6] x) => (float[2,5] y) { c = Constant<value = bool {1}>() y = If(c) <"
        "then_branch = t () => (float[2,5] p) { p = MatMul(x, w) }, "
        "else_branch = e () => (float[2,5] q) { q = MatMul(x, w) }> }",
        (6, 5),
        (2, 6),
    ),
}


def split(model: Model, a: np.ndarray, b: np.ndarray) -> None:
    weight = weight_named(model, "w")
    constants = Draft(Names(model))
    values = [constants.constant(array, letter) for array, letter in zip(as_stored(weight, a, b), "ab", strict=True)]
    split_readers(model, weight, constants, *values)
    put_instead(model, weight, constants)


@pytest.mark.parametrize("name", CASES)
def test_a_split_node_computes_the_product_of_the_factors(name: str) -> None:
    body, shape, x = CASES[name]
    model = model_of(body, w=noise(*shape), b=noise(5, seed=1))
    weight = weight_named(model, "w")
    assert obstacle(weight) is None
    assert matrix_shape(weight) == (6, 5)
    a = noise(6, 6, seed=2)
    product = np.linalg.solve(a.astype(np.float64), as_matrix(weight, weight.array()).astype(np.float64))
    b = product.astype(np.float32)
    assert [array.shape for array in as_stored(weight, a, b)] == list(factor_shapes(weight, 6))
    feed = noise(*x, seed=3)
    before = run(model, x=feed)[0]
    split(model, a, b)
    onnx.checker.check_model(proto_from(model), full_check=True)
    # two products of 6 terms in float32, each term no larger than |x| |a| |b|
    bound = 32 * np.finfo(np.float32).eps * np.abs(feed).max() * 36 * np.abs(a).max() * np.abs(b).max()
    assert np.abs(run(model, x=feed)[0] - before).max() <= bound


def test_the_first_convolution_strides_and_pads() -> None:
    body, shape, _ = CASES["Conv 1-D with strides and pads"]
    model = model_of(body, w=noise(*shape), b=noise(5))
    split(model, noise(6, 2), noise(2, 5))
    first, second = proto_from(model).graph.node
    assert {a.name: list(a.ints) for a in first.attribute} == {"strides": [2], "pads": [1, 1], "kernel_shape": [1]}
    assert {a.name: list(a.ints) for a in second.attribute} == {"kernel_shape": [1]}
    assert list(second.input)[2:] == ["b"]
    assert list(second.output) == ["y"]


def test_a_gemm_keeps_its_bias_and_factors_and_needs_no_transposition() -> None:
    body, shape, _ = CASES["Gemm transB"]
    model = model_of(body, w=noise(*shape), b=noise(5))
    split(model, noise(6, 2), noise(2, 5))
    nodes = proto_from(model).graph.node
    assert op_types(nodes) == ["MatMul", "Gemm"]
    assert not nodes[1].attribute


X = "g (float[6,6] x, float[1,6,8,8] i) => (float[m] y)"


@pytest.mark.parametrize(
    ("nodes", "shape", "reason"),
    [
        ("y = MatMul(x, w) z = Relu(w)", (6, 5), "it is also read by operators that cannot be split"),
        ("y = MatMul(w, x)", (5, 6), "it is not read directly as the second operand"),
        ("t = Transpose(w) y = MatMul(x, t)", (5, 6), "it is not read directly as the second operand"),
        ("y = MatMul(x, w)", (2, 6, 5), "only matrices can be split"),
        ("y = MatMul(x, w)", (6,), "only matrices can be split"),
        ("y = Gemm<transA=1>(x, w)", (6, 5), "Gemm with transA cannot be split"),
        ("y = Conv(i, w)", (5, 6, 3, 3), "only Conv with a kernel of 1 can be split"),
        ("y = Conv<group=2>(i, w)", (4, 3, 1, 1), "Conv with groups cannot be split"),
        ("y = ConvTranspose(i, w)", (6, 5, 1, 1), "ConvTranspose cannot be split into two nodes"),
        ("k = Constant<value_ints=[1]>() y = Gather(w, k)", (6, 5), "Gather cannot be split into two nodes"),
        ("y = MatMul(x, w) z = Gemm<transB=1>(x, w)", (6, 6), "it is read in different ways"),
    ],
)
def test_what_cannot_be_split_says_why(nodes: str, shape: tuple[int, ...], reason: str) -> None:
    assert obstacle(weight_named(model_of(f"{X} {{ {nodes} }}", w=noise(*shape)), "w")) == reason
