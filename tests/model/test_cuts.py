"""Weights as matrices and data as rows: their products are what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.cuts import product_of
from nncompress.model.weights import find_weights
from nncompress.numerics.rows import evenly
from tests.models import as_model, noise, proto_of, run

Shape = tuple[int, ...]
CASES: dict[str, tuple[str, Shape, Shape]] = {  # attributes of the operator, shape of x, shape of w
    "Conv": ("Conv<pads = [1, 1, 1, 1]>(x, w)", (2, 4, 5, 6), (6, 4, 3, 3)),
    "Conv with everything": (
        "Conv<pads = [1, 0, 2, 1], strides = [2, 1], dilations = [1, 2], group = 2>(x, w)", (2, 4, 9, 8), (6, 2, 3, 3),
    ),
    "Conv, SAME_UPPER": (
        'Conv<auto_pad = "SAME_UPPER", strides = [2, 3], group = 4>(x, w)', (2, 4, 9, 8), (4, 1, 3, 3),
    ),
    "Conv, SAME_LOWER": ('Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w)', (2, 4, 9, 8), (4, 4, 4, 3)),
    "Conv, VALID": ('Conv<auto_pad = "VALID", strides = [2]>(x, w)', (2, 4, 9), (5, 4, 4)),
    "ConvTranspose": (
        "ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]>(x, w)",
        (2, 4, 5, 6), (4, 6, 3, 3),
    ),
    "ConvTranspose with groups": (
        "ConvTranspose<strides = [2, 1], pads = [0, 3, 1, 1], dilations = [2, 1], group = 2>(x, w)",
        (2, 4, 5, 6), (4, 3, 3, 3),
    ),
    "MatMul": ("MatMul(x, w)", (2, 5, 4), (4, 3)),
    "MatMul of a vector": ("MatMul(x, w)", (4,), (4, 3)),
    "Gemm": ("Gemm(x, w)", (5, 4), (4, 3)),
    "Gemm, both turned": ("Gemm<transA = 1, transB = 1>(x, w)", (4, 5), (3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_matrix_times_rows_is_the_result(case: str) -> None:
    call, x_shape, w_shape = CASES[case]
    proto = proto_of(f"g (float[{','.join(map(str, x_shape))}] x) => (float y) {{ y = {call} }}", w=noise(*w_shape))
    (weight,) = find_weights(as_model(proto))
    product = product_of(weight, weight.uses[0])
    assert not isinstance(product, str)
    x = noise(*x_shape, seed=1)
    (y,) = run(proto, x=x)
    rows = product.cut.take(x, np.arange(product.cut.count(x.shape)))
    results = (product.view.of(weight.array()) @ rows.transpose(0, 2, 1)).reshape(-1, rows.shape[1]).T
    if y.ndim > 2 and "Conv" in case:
        y = np.moveaxis(y, 1, -1)
    assert results == pytest.approx(y.reshape(results.shape), abs=1e-5)
    assert np.array_equal(product.view.undone(product.view.of(weight.array()), weight.shape), weight.array())


@pytest.mark.parametrize("case", ["Conv", "ConvTranspose", "MatMul", "Gemm", "Gemm, both turned"])
def test_many_inputs_are_taken_in_blocks_that_add_up(case: str) -> None:
    call, x_shape, w_shape = CASES[case]
    proto = proto_of(f"g (float[{','.join(map(str, x_shape))}] x) => (float y) {{ y = {call} }}", w=noise(*w_shape))
    (weight,) = find_weights(as_model(proto))
    whole = product_of(weight, weight.uses[0])
    assert not isinstance(whole, str)
    parts = product_of(weight, weight.uses[0], whole.view.shape[2] // 2)
    assert not isinstance(parts, str)
    x = noise(*x_shape, seed=1)
    sums = []
    for product in (whole, parts):
        rows = product.cut.take(x, np.arange(product.cut.count(x.shape)))
        sums.append((product.view.of(weight.array()) @ rows.transpose(0, 2, 1)).sum(axis=0))
    assert len(rows) == 2
    assert sums[1] == pytest.approx(sums[0], abs=1e-5)
    assert np.array_equal(parts.view.undone(parts.view.of(weight.array()), weight.shape), weight.array())


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_states_before_each_step(direction: str) -> None:
    """tanh(W x + R h) is the state after it."""
    count = 1 + (direction == "bidirectional")
    body = f'g (float[7,2,3] x) => (float y) {{ y = RNN<direction = "{direction}", hidden_size = 5>(x, w, r) }}'
    proto = proto_of(body, w=noise(count, 5, 3), r=noise(count, 5, 5, seed=2))
    weights = find_weights(as_model(proto))
    products = [product_of(weight, weight.uses[0]) for weight in weights]
    given, states = products
    assert not isinstance(given, str)
    assert not isinstance(states, str)
    assert states.recurs
    x = noise(7, 2, 3, seed=1)
    (y,) = run(proto, x=x)
    before = states.cut.take(y, np.arange(states.cut.count(y.shape)))
    inputs = given.cut.take(x, np.arange(given.cut.count(x.shape)))[0].reshape(7, 2, 3)
    for number in range(count):
        backwards = direction == "reverse" or number
        own = (inputs[:-1] if backwards else inputs[1:]).reshape(-1, 3)
        after = (y[:-1, number] if backwards else y[1:, number]).reshape(-1, 5)
        summed = own @ weights[0].array()[number].T + before[number] @ weights[1].array()[number].T
        assert np.tanh(summed) == pytest.approx(after, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Gather(w, i)", "it is looked up"),
        ("y = MatMul(x, w)", "it is a stack of matrices, each for data of its own"),
        (", h = LSTM<hidden_size = 4>(x, v, w) y = Identity(h)", "the states of the LSTM have no name"),
        ("y = GRU<hidden_size = 4>(x, v, w)", "the reset gate changes the states before they are multiplied by it"),
        (
            'y = ConvTranspose<auto_pad = "SAME_UPPER">(x, w)',
            "how far its transposed convolution reaches is computed",
        ),
    ],
)  # fmt: skip
def test_what_has_no_rows(body: str, reason: str) -> None:
    shape = {"LSTM": (1, 16, 4), "GRU": (1, 12, 4)}.get(body.split("<")[0].split()[-1], (3, 4, 4))
    constants = {"v": noise(*shape), "i": np.array([1])}
    used = {name: array for name, array in constants.items() if f"{name})" in body or f" {name}," in body}
    proto = proto_of(f"g (float[2,3,4] x) => (float y) {{ {body} }}", w=noise(*shape), **used)
    weight = next(weight for weight in find_weights(as_model(proto)) if weight.name == "w")
    assert product_of(weight, weight.uses[0]) == reason


def test_rows_are_chosen_evenly() -> None:
    assert evenly(3, 5).tolist() == [0, 1, 2]
    assert evenly(10, 5).tolist() == [1, 3, 5, 7, 9]
