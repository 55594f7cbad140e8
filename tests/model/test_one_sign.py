"""Inputs that are positive on the whole: each way to be so, and those that look like it and are not."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.one_sign import fed_one_sign
from tests.models import as_model, noise, proto_of, weight_named

CONSTANTS = {
    "o": np.float32(0), "six": np.float32(6), "three": np.float32(3), "minus": np.float32(-1),
    "shape": np.array([-1, 8], np.int64),
}  # fmt: skip
CHAIN = " ".join(f"a{number + 1} = Concat<axis=0>(a{number})" for number in range(2000))
POSITIVE = {
    "relu": "d = Relu(x)",
    "clip": "d = Clip(x, o, six)",
    "clip without an upper end": "d = Clip(x, o)",
    "moved": "a = Relu(x) b = Transpose<perm=[0,1]>(a) d = Reshape(b, shape)",
    "a sum of such": "a = Relu(x) b = Sigmoid(x) d = Add(a, b)",
    "gated": "a = Sigmoid(x) d = Mul(x, a)",
    "hard swish": "a = Add(x, three) b = Clip(a, o, six) c = Mul(b, x) d = Div(c, six)",
    "scaled": "a = Relu(x) d = Mul(a, three)",
}
OTHER = {
    "an input": "d = Identity(x)",
    "clip from below 0": "d = Clip(x, minus, six)",
    "clip without a lower end": "d = Clip(x, , six)",
    "tanh": "d = Tanh(x)",
    "turned": "a = Relu(x) d = Mul(a, minus)",
    "a sum with others": "a = Relu(x) d = Add(a, x)",
    "gated by something else": "n = Neg(x) a = Sigmoid(n) d = Mul(x, a)",
    "a product of one, as no runtime takes it": "d = Mul(x)",
    "the end of a long chain": f"a0 = Relu(x) {CHAIN} d = Identity(a2000)",
    "a square, whose root nobody looks for": "a = Add(x, three) d = Mul(x, a)",
}


def found(nodes: str, reader: str = "y = MatMul(d, w)") -> bool:
    words = set(nodes.replace(",", " ").replace("(", " ").replace(")", " ").split())
    read = {name: array for name, array in CONSTANTS.items() if name in words}
    proto = proto_of(f"g (float[4,8] x) => (float[] y) {{ {nodes} {reader} }}", opset=17, w=noise(8, 8), **read)
    return fed_one_sign(weight_named(as_model(proto), "w"))


@pytest.mark.parametrize("case", POSITIVE)
def test_it_is_known_to_be_positive(case: str) -> None:
    assert found(POSITIVE[case])


@pytest.mark.parametrize("case", OTHER)
def test_nothing_is_made_of(case: str) -> None:
    assert not found(OTHER[case])


def test_a_table_adds_nothing_up() -> None:
    assert not found("a = Relu(x) d = Cast<to=7>(a)", "y = Gather(w, d)")


def test_weights_on_the_left_and_of_gemm_count_too() -> None:
    assert found("a = Relu(x) d = Transpose(a)", "y = MatMul(w, d)")
    assert found("d = Relu(x)", "y = Gemm<transB=1>(d, w)")
