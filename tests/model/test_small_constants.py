"""Which constants are taken for small ones, and what they meet."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.small_constants import find_small_constants
from tests.models import model_of, noise

W = noise(64, 256)
C = {f"c{i}": noise(256, seed=i + 1) for i in range(4)}
KERNEL = noise(8, 8, 3, 3)
EIGHT = {f"c{i}": np.abs(noise(8, seed=i + 1)) for i in range(4)}


def found(body: str, opset: int = 17, **constants: np.ndarray) -> list[str]:
    return [small.constant.name for small in find_small_constants(model_of(body, opset=opset, **constants))]


@pytest.mark.parametrize(
    ("tail", "names"),
    [
        ("a = Add(m, c0) y = Add(c1, a)", ["c0", "c1"]),
        ("a = Mul(m, c0) b = Sub(c1, a) y = Div(b, c2)", ["c0", "c1", "c2"]),
        ("a = Relu(m) y = PRelu(a, c0)", ["c0"]),
        ("y = LayerNormalization(m, c0, c1)", ["c0", "c1"]),
        ("s = Concat<axis = 0>(c0, c1) a, b = Split<axis = 0>(s) y = Add(m, b)", ["c0", "c1"]),
        ("a = Mul(m, c0) b = Sin(c0) y = Add(a, b)", []),
        ("a = Add(c0, c1) y = Mul(m, a)", []),  # meet constants alone
        ("a = Sin(c0) y = Mul(m, a)", []),
        ("i = Cast<to = 7>(c0) j = Cast<to = 1>(i) y = Add(m, j)", []),
    ],
)
def test_what_reads_a_small_constant_is_known(tail: str, names: list[str]) -> None:
    body = f"g (float[2,64] x) => (float[2,256] y) {{ m = MatMul(x, w) {tail} }}"
    assert found(body, w=W, **C) == names


@pytest.mark.parametrize(
    ("norm", "names"),
    [
        ("BatchNormalization(m, c0, c1, c2, c3)", ["c0", "c1", "c2", "c3"]),
        ("InstanceNormalization(m, c0, c1)", ["c0", "c1"]),
        ("GroupNormalization<num_groups = 2>(m, c0, c1)", ["c0", "c1"]),
    ],
)
def test_parameters_of_normalisation_are_small_constants(norm: str, names: list[str]) -> None:
    body = f"g (float[1,8,9,9] x) => (float[1,8,7,7] y) {{ m = Conv(x, w) y = {norm} }}"
    assert found(body, 21, w=KERNEL, **EIGHT) == names


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("a = Sub(x, c0) y = MatMul(a, w)", []),  # the mean of a feature
        ("s = Shape(x) t = Reshape(x, s) a = Div(t, c0) y = MatMul(a, w)", []),
        ("m = MatMul(x, w) s = Shape(x) f = Cast<to = 1>(s) a = Mul(f, c1) b = Cos(a) y = Mul(m, b)", []),  # positions
        ("m = MatMul(x, w) s = Shape(m) t = Reshape(m, s) y = Mul(t, c0)", ["c0"]),  # only its shape is that of a shape
        ("r = MatMul(x, w) a = Relu(r) b = Add(a, r) y = Mul(b, c0)", ["c0"]),
    ],
)
def test_what_is_given_and_what_counts_needs_all_digits(body: str, names: list[str]) -> None:
    constants = {"c0": noise(64), "c1": noise(2, seed=2)}
    assert found(f"g (float[64,64] x) => (float[64,64] y) {{ {body} }}", w=noise(64, 64), **constants) == names


def test_a_row_of_positions_inside_a_loop_is_given() -> None:
    body = """g (float[2,64] x, int64 n) => (float[2,64] y) {
        y = Loop(n, , x) <body = b (int64 i, bool go, float[2,64] v) => (bool more, float[2,64] next) {
            more = Identity(go) f = Cast<to = 1>(i) a = Mul(f, c0) s = Sin(a) m = MatMul(v, w) d = Add(m, c1)
            next = Add(d, s) }> }"""
    assert found(body, w=noise(64, 64), c0=noise(64), c1=noise(64)) == ["c1"]


def test_biases_are_those_that_passes_may_move() -> None:
    body = """g (float[2,64] x) => (float[2,256] y) {
        m = Gemm(x, w, c0) a = Add(m, c1) b = Mul(a, c2) y = LayerNormalization(b, c3, c3) }"""
    smalls = find_small_constants(model_of(body, w=W, **C))
    assert {small.constant.name: small.may_be_bias for small in smalls} == {
        "c0": True, "c1": True, "c2": False, "c3": False,
    }  # fmt: skip
