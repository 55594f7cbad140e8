"""Pairs that round an activation: who reads what comes out of them, and under which name."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.activations import round_value, rounding_of
from nncompress.model.edit import Editor
from nncompress.model.model import Model
from nncompress.numerics.rounding import Rounding
from tests.models import model_of, noise, run

ROUNDING = Rounding(0.0625, 100)
X = noise(3, 5, seed=1) * 4
ROUNDED = (np.clip(np.rint(X / 0.0625) + 100, 0, 255) - 100).astype(np.float32) * np.float32(0.0625)


def two_readers() -> Model:
    return model_of(
        "g (float[3,5] x) => (float[3,5] y, float[3,5] h, float[3,5] z) { h = Neg(x) y = Abs(h) z = Neg(h) }"
    )


def test_an_input_is_rounded_for_those_who_shall_read_it() -> None:
    model = model_of("g (float[3,5] x) => (float[3,5] y, float[3,5] z) { y = Neg(x) z = Abs(x) }")
    negated = next(iter(model.ir.graph))
    rounded = round_value(Editor(model), model.ir.graph.inputs[0], ROUNDING, [negated])
    assert rounding_of(rounded) == ROUNDING
    y, z = run(model, x=X)
    assert np.array_equal(y, -ROUNDED)
    assert np.array_equal(z, np.abs(X))


def test_an_output_keeps_its_name_and_is_rounded_with_all_readers() -> None:
    model = two_readers()
    hidden = next(iter(model.ir.graph)).outputs[0]
    rounded = round_value(Editor(model), hidden, ROUNDING, None)
    assert rounded.name == "h"
    assert [out.name for out in model.ir.graph.outputs] == ["y", "h", "z"]
    y, h, z = run(model, x=-X)
    for found, expected in ((y, np.abs(ROUNDED)), (h, ROUNDED), (z, -ROUNDED)):
        assert np.array_equal(found, expected)


def test_an_output_stays_what_it_is_where_only_some_readers_are_meant() -> None:
    model = two_readers()
    first, absolute, _ = model.ir.graph
    round_value(Editor(model), first.outputs[0], ROUNDING, [absolute])
    y, h, z = run(model, x=-X)
    assert np.array_equal(y, np.abs(ROUNDED))
    assert np.array_equal(h, X)
    assert np.array_equal(z, -X)


def test_readers_in_a_graph_inside_a_node_read_it_too() -> None:
    model = model_of("""g (bool c, float[3,5] x) => (float[3,5] y) { h = Neg(x)
        y = If (c) <then_branch = t () => (float[3,5] a) { a = Abs(h) },
        else_branch = e () => (float[3,5] b) { b = Neg(h) }> }""")
    hidden = next(iter(model.ir.graph)).outputs[0]
    round_value(Editor(model), hidden, ROUNDING, None)
    (y,) = run(model, x=-X, c=np.array(True))
    assert np.array_equal(y, np.abs(ROUNDED))


@pytest.mark.parametrize(
    "nodes",
    [
        "d = Neg(x)",
        "q = QuantizeLinear(x, s, i) d = DequantizeLinear(q, s, i)",  # int8
        "q = QuantizeLinear(x, s) d = DequantizeLinear(q, s)",  # no zero point written out
        "h = Abs(s) q = QuantizeLinear(x, h, z) d = DequantizeLinear(q, h, z)",  # computed
        "q = QuantizeLinear<axis=1>(x, ss, zz) d = DequantizeLinear<axis=1>(q, ss, zz)",
        "q = Cast<to=2>(x) d = DequantizeLinear(q, s, z)",
    ],
)
def test_what_is_no_such_pair(nodes: str) -> None:
    every = {
        "s": np.float32(0.1), "z": np.uint8(3), "i": np.int8(3), "ss": np.full(5, 0.1, np.float32),
        "zz": np.zeros(5, np.uint8),
    }  # fmt: skip
    constants = {name: np.asarray(value) for name, value in every.items() if f"{name})" in nodes or f"{name}," in nodes}
    model = model_of(f"g (float[3,5] x) => (float[3,5] d) {{ {nodes} }}", **constants)
    assert rounding_of(model.ir.graph.outputs[0]) is None
    assert rounding_of(model.ir.graph.inputs[0]) is None
    assert rounding_of(None) is None
