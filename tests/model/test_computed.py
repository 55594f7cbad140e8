import numpy as np
import pytest

from nncompress.model.computed import may_be_computed
from tests.models import model_of

LONG = np.ones(300, np.int64)


@pytest.mark.parametrize(
    ("body", "may"),
    [
        ("g (int64[M] i) => (int64[M] y) { y = Gather(c, i) }", True),
        ("g (int64[300] i) => (int64[300] y) { y = Add(i, c) }", True),
        ("g (int64[300] i) => (int64[300] y) { a = Add(i, c) b = Identity(c) y = Mul(a, b) }", True),
        ("g (float[300] i) => (float[K] y) { y = Expand(i, c) }", False),
        ("g (float[N] i) => (float[N] y) { y = ReduceSum(i, c) }", False),
        ("g (int64[M] i) => (int64[M] y) { y = local.f(c, i) }", False),
        ("g (int64[M] i) => (int64[M] y, int64[300] c) { y = Gather(c, i) }", False),
        ("g (int64[M] i, int64[300] c) => (int64[M] y) { y = Gather(c, i) }", False),
        ("g (int64[M] i) => (int64[M] y) { y = Identity(i) }", False),
        ("g (float s) => (float[300] y) { d = Cast<to = 6>(c) y = DequantizeLinear(d, s) }", True),
    ],
)
def test_a_constant_may_be_computed_where_no_reader_wants_to_find_it(body: str, may: bool) -> None:
    model = model_of(body, opset=18, c=LONG)
    assert may_be_computed(model.ir.graph.initializers["c"]) is may


def test_integers_behind_dequantize_linear_stay() -> None:
    body = "g (float[N,300] x) => (float[N,300] y) { d = DequantizeLinear(c, s) y = Add(x, d) }"
    model = model_of(body, c=LONG.astype(np.int32), s=np.float32(0.1))
    assert not may_be_computed(model.ir.graph.initializers["c"])
