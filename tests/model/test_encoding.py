"""The two ways to give a weight values: plain ones, or an encoding that rides on it until it is stored."""

import numpy as np
import onnx_ir as ir
import pytest

from nncompress.model.encoding import attach, encoded_of, set_values
from nncompress.numerics.held import Store
from nncompress.numerics.sparse import Pruned
from tests.model.test_edit import HOMES
from tests.models import as_model, linear, model_of, noise, only_weight, run, weight_named

W = noise(4, 3)


@pytest.mark.parametrize("home", ["main graph", "function", "Constant"])
def test_other_values_come_to_the_same_place_under_the_same_name(home: str) -> None:
    model = as_model(HOMES[home])
    set_values(only_weight(model), ir.Tensor(2 * W, name="whatever"))
    weight = only_weight(model)
    assert (weight.name, weight.tensor.name) == ("w", "w")
    feed = {"c": np.array(True), "x": noise(2, 4)}
    assert np.array_equal(run(model, **feed)[0], 2 * run(HOMES[home], **feed)[0])


def test_an_encoding_rides_on_a_weight_which_has_its_values_meanwhile() -> None:
    model = linear(W)
    weight = only_weight(model)
    assert encoded_of(weight) is None
    values = np.where(W > 0, W, 0)
    encoded = Pruned(Store().hold(values), W.shape, 5)
    attach(weight, encoded)
    assert encoded_of(only_weight(model)) is encoded
    assert np.array_equal(only_weight(model).array(), values)
    assert np.array_equal(run(model, x=noise(2, 4))[0], run(linear(values), x=noise(2, 4))[0])


def test_an_encoding_keeps_the_type_of_the_weight() -> None:
    model = linear(W.astype(np.float16))
    attach(only_weight(model), Pruned(Store().hold(W), W.shape, 12))
    assert only_weight(model).tensor.numpy().dtype == np.float16
    assert only_weight(model).dtype == ir.DataType.FLOAT16


def test_a_weight_in_two_readers_stays_one_after_an_encoding() -> None:
    model = model_of("g (float[2,4] x) => (float[2,4] y) { a = MatMul(x, w) y = MatMul(a, w) }", w=noise(4, 4))
    attach(weight_named(model, "w"), Pruned(Store().hold(np.eye(4, dtype=np.float32)), (4, 4), 4))
    assert len(only_weight(model).uses) == 2
    assert np.array_equal(run(model, x=noise(2, 4))[0], noise(2, 4))


def test_other_values_drop_what_rode_on_the_weight() -> None:
    model = linear(W)
    attach(only_weight(model), Pruned(Store().hold(np.where(W > 0, W, 0)), W.shape, 5))
    set_values(only_weight(model), ir.Tensor(3 * W))
    assert encoded_of(only_weight(model)) is None
    assert np.array_equal(only_weight(model).array(), 3 * W)
