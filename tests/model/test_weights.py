"""Channel and contraction axes are checked by brute force: a change of one index along the channel axes of a weight
changes exactly the outputs of that channel in onnxruntime."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from nncompress.model.encoding import set_values
from nncompress.model.weights import find_weights
from tests.models import model_of, noise, run, weight_named

Places = Iterable[Any]  # indices into the output
A = slice(None)


def positive(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 1, shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """y = body(x); `channel` and `contraction` are the axes of w; `where` maps a channel to its places in y."""

    body: str
    shape: tuple[int, ...]  # of w
    channel: tuple[int, ...]
    contraction: tuple[int, ...]
    where: Callable[..., Places]
    x: tuple[int, ...] = (2, 4)
    feed: dict[str, np.ndarray] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    opset: int = 17


def case(node: str, shape: tuple[int, ...], *rest: Any, x: tuple[int, ...] = (2, 4), **more: Any) -> Case:
    """A model of these nodes from x to y."""
    head = f"g (float[{','.join(map(str, x))}] x) => (float[] y)"
    return Case(f"{head} {{ {node} }}", shape, *rest, x=x, **more)


def last(n: int) -> Places:
    return [(..., n)]


def channel_1(n: int) -> Places:
    return [(A, n)]


H = 3
STATE = {"h": positive(2, 2, H), "c": positive(2, 2, H)}
LOOP = "d = Identity(c) r = MatMul(a, w)"
INTS = {name: np.array(value, np.int64) for name, value in {"i0": [0], "i1": [1], "i2": [2], "i6": [6]}.items()}

CASES = {
    "Conv": case("y = Conv(x, w)", (5, 3, 2, 2), (0,), (1, 2, 3), channel_1, x=(1, 3, 4, 4)),
    "Conv 1-D": case("y = Conv(x, w)", (5, 3, 2), (0,), (1, 2), channel_1, x=(1, 3, 4)),
    "Conv grouped": case("y = Conv<group=2>(x, w)", (6, 2, 1, 1), (0,), (1, 2, 3), channel_1, x=(1, 4, 3, 3)),
    "Conv depthwise": case("y = Conv<group=4>(x, w)", (4, 1, 2, 2), (0,), (1, 2, 3), channel_1, x=(1, 4, 3, 3)),
    "ConvTranspose": case("y = ConvTranspose(x, w)", (3, 5, 2, 2), (1,), (0, 2, 3), channel_1, x=(1, 3, 4, 4)),
    "ConvTranspose grouped": case(
        "y = ConvTranspose<group=2>(x, w)", (4, 3, 2), (0, 1), (2,), lambda c, j: [(A, 3 * (c // 2) + j)], x=(1, 4, 5)
    ),
    "ConvTranspose depthwise": case(
        "y = ConvTranspose<group=4>(x, w)", (4, 2, 2), (0, 1), (2,), lambda c, j: [(A, 2 * c + j)], x=(1, 4, 5)
    ),
    "MatMul right": case("y = MatMul(x, w)", (4, 3), (1,), (0,), last),
    "MatMul left": case("y = MatMul(w, x)", (3, 2), (0,), (1,), lambda m: [m]),
    "MatMul right 1-D": case("y = MatMul(x, w)", (4,), (), (0,), lambda: [...]),
    "MatMul left 1-D": case("y = MatMul(w, x)", (2,), (), (0,), lambda: [...]),
    "MatMul right 3-D": case(
        "y = MatMul(x, w)", (3, 4, 5), (0, 2), (1,), lambda b, n: [(b, A, n)], x=(3, 2, 4)
    ),
    "MatMul left 3-D": case("y = MatMul(w, x)", (3, 5, 2), (0, 1), (2,), lambda b, m: [(b, m)], x=(3, 2, 4)),
    "MatMul of a 3-D input": case("y = MatMul(x, w)", (4, 3), (1,), (0,), last, x=(2, 3, 4)),
    "Gemm": case("y = Gemm(x, w)", (4, 3), (1,), (0,), last),
    "Gemm transB": case("y = Gemm<transB=1>(x, w)", (3, 4), (0,), (1,), last),
    "Gemm transA": case("y = Gemm<transA=1>(x, w)", (2, 3), (1,), (0,), last),
    "Gemm left": case("y = Gemm(w, x)", (3, 2), (0,), (1,), lambda m: [m]),
    "Gemm left transA": case("y = Gemm<transA=1>(w, x)", (2, 3), (1,), (0,), lambda m: [m]),
    "Gather": Case(
        "g (int64[3] x) => (float[] y) { y = Gather(w, x) }", (4, 3), (0,), (1,),
        lambda row: [n for n, i in enumerate((2, 0, 2)) if i == row], feed={"x": np.array([2, 0, 2])},
    ),
    "Gather axis 1": Case(
        "g (int64[3] x) => (float[] y) { y = Gather<axis=1>(w, x) }", (3, 4), (1,), (0,),
        lambda row: [(A, n) for n, i in enumerate((2, 0, -2)) if i % 4 == row], feed={"x": np.array([2, 0, -2])},
    ),
    "LSTM input": case(
        f'y, q = LSTM<hidden_size={H}, direction="bidirectional">(x, w, r, "", "", h, c)', (2, 4 * H, 4), (0, 1), (2,),
        lambda d, row: [(A, d, A, row % H)], x=(1, 2, 4), constants={**STATE, "r": noise(2, 4 * H, H)},
    ),
    "LSTM recurrence": case(
        f'y, q = LSTM<hidden_size={H}, direction="bidirectional">(x, r, w, "", "", h, c)', (2, 4 * H, H), (0, 1), (2,),
        lambda d, row: [(A, d, A, row % H)], x=(1, 2, 4), constants={**STATE, "r": noise(2, 4 * H, 4)},
    ),
    "GRU": case(
        f'y, q = GRU<hidden_size={H}, linear_before_reset=1>(x, w, r, "", "", h)', (1, 3 * H, 4), (0, 1), (2,),
        lambda d, row: [(A, d, A, row % H)], x=(1, 2, 4), constants={"h": STATE["h"][:1], "r": noise(1, 3 * H, H)},
    ),
    "RNN": case(
        f"y, q = RNN<hidden_size={H}>(x, w, r)", (1, H, 4), (0, 1), (2,), lambda d, row: [(A, d, A, row)],
        x=(1, 2, 4), constants={"r": noise(1, H, H)},
    ),
    "Einsum right": case('y = Einsum<equation="bk,kj->bj">(x, w)', (4, 3), (1,), (0,), last),
    "Einsum left": case('y = Einsum<equation="jk, bk -> bj">(w, x)', (3, 4), (0,), (1,), last),
    "Einsum by heads": case(
        'y = Einsum<equation="bhd,hde->bhe">(x, w)', (3, 4, 5), (0, 2), (1,), lambda h, e: [(A, h, e)], x=(2, 3, 4)
    ),
    "in If": Case(
        "g (bool c, float[2,4] x) => (float[] y) { y = If(c) <then_branch = t () => (float[] a) { a = MatMul(x, w) }, "
        "else_branch = e () => (float[] b) { b = MatMul(x, w) }> }",
        (4, 3), (1,), (0,), last, feed={"c": np.array(True)},
    ),
    "in Loop": case(
        'n = Constant<value_int=1>() '
        f'y = Loop(n, "", x) <body = b (int64 i, bool c, float[2,4] a) => (bool d, float[2,4] r) {{ {LOOP} }}>',
        (4, 4), (1,), (0,), last,
    ),
    "in Scan": case(
        "s = Constant<value_floats=[1.0]>() f, y = Scan<num_scan_inputs=1, "
        "body = b (float[1] t, float[4] a) => (float[1] u, float[3] r) { u = Identity(t) r = MatMul(a, w) }>(s, x)",
        (4, 3), (1,), (0,), last,
    ),
    "handed to a function": Case(
        'g (float[2,4] x) => (float[] y) { y = local.f(x, w) } <domain: "local", opset_import: ["" : 17]> '
        "f (a, k) => (b) { b = MatMul(a, k) }",
        (4, 3), (1,), (0,), last,
    ),
    "handed on by functions": Case(
        'g (float[2,4] x) => (float[] y) { y = local.f(w, x) } '
        '<domain: "local", opset_import: ["" : 17, "local" : 1]> f (k, a) => (b) { b = local.h(a, k) } '
        '<domain: "local", opset_import: ["" : 17]> h (a, k) => (b) { b = Gemm<transB=1>(a, k) }',
        (3, 4), (0,), (1,), last,
    ),
    "behind Transpose": case("t = Transpose(w) y = MatMul(x, t)", (3, 4), (0,), (1,), last),
    "behind Transpose of 3-D": case(
        "t = Transpose<perm=[2,0,1]>(w) y = MatMul(x, t)", (4, 5, 3), (1, 2), (0,),
        lambda n, b: [(b, A, n)], x=(3, 2, 4), constants={},
    ),
    "behind Reshape": case(
        "s = Constant<value_ints=[4,3]>() t = Reshape(w, s) y = MatMul(x, t)", (4, 1, 3), (2,), (0,), last
    ),
    "behind Squeeze": case(
        "a = Constant<value_ints=[1]>() t = Squeeze(w, a) y = MatMul(x, t)", (4, 1, 3), (2,), (0,), last
    ),
    "behind Unsqueeze": case(
        "a = Constant<value_ints=[2]>() t = Unsqueeze(w, a) y = Conv(x, t)", (5, 3), (0,), (1,), channel_1, x=(1, 3, 4)
    ),
    "behind Flatten": case("t = Flatten<axis=1>(w) y = Gemm<transB=1>(x, t)", (3, 2, 2), (0,), (), last),
    "behind Identity and Cast": case("i = Identity(w) t = Cast<to=1>(i) y = MatMul(x, t)", (4, 3), (1,), (0,), last),
    "times a factor": case("t = Mul(s, w) y = MatMul(x, t)", (4, 3), (1,), (0,), last, constants={"s": positive(1, 3)}),
    "behind Slice and Concat": case(
        "p = Slice(w, i0, i2, i0) q = Slice(w, i2, i6, i0) t = Concat<axis=0>(q, p) y = Gemm<transB=1>(x, t)",
        (6, 4), (0,), (1,), lambda n: [(A, (n - 2) % 6)], constants=INTS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_channel_is_what_onnxruntime_makes_one_output_channel_of(name: str) -> None:
    one = CASES[name]
    array = noise(*one.shape)
    model = model_of(one.body, opset=one.opset, w=array, **one.constants)
    feed = {"x": positive(*one.x), **one.feed}
    weight = weight_named(model, "w")
    assert weight.channel_axes == one.channel
    assert {use.contraction_axes for use in weight.uses} == {one.contraction if "Gather" not in name else ()}
    before = run(model, **feed)[0]
    for index in np.ndindex(*(one.shape[axis] for axis in one.channel)):
        picked: list[Any] = [A] * len(one.shape)
        for axis, i in zip(one.channel, index, strict=True):
            picked[axis] = i
        changed = array.copy()
        changed[tuple(picked)] += 1
        set_values(weight, ir.Tensor(changed))
        expected = np.zeros(before.shape, bool)
        for place in one.where(*index):
            expected[place] = True
        assert np.array_equal(run(model, **feed)[0] != before, expected), index


def test_every_operator_of_the_table_has_a_case() -> None:
    operators = {"Conv", "ConvTranspose", "MatMul", "Gemm", "Gather", "LSTM", "GRU", "RNN", "Einsum"}
    assert {name.split()[0] for name in CASES} >= operators
    assert len(find_weights(model_of("g (float[2] x) => (float[2] y) { y = Neg(x) }"))) == 0
