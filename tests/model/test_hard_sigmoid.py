"""Hard sigmoids written as several nodes become one, in every spelling; what is not one stays."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from nncompress.model.constants import find_constants
from nncompress.model.hard_sigmoid import fuse_hard_sigmoids
from nncompress.model.model import op_name
from tests.models import FLOAT, as_model, proto_of, session

X = np.linspace(-8, 8, 321, dtype=np.float32).reshape(3, 107)
CONSTANTS = {
    "c3": np.float32(3), "o": np.zeros(1, np.float32), "six": np.array([6], np.float32), "sixth": np.float32(1 / 6),
    "seven": np.float32(7), "low": np.float32(-1), "minus": np.float32(-6), "half": np.float32(0.5),
    "one": np.float32(1),
    "wide": np.array([[[6]]], np.float32), "nan": np.float32(np.nan), "row": np.full(107, 6, np.float32),
    "inf": np.float32(np.inf),
}  # fmt: skip
ATTRIBUTES = "<min=0.0, max=6.0>"


def model_with(nodes: str, opset: int = 17, outputs: str = "float[] y") -> onnx.ModelProto:
    words = set(nodes.replace(",", " ").replace("(", " ").replace(")", " ").split())
    read = {name: array for name, array in CONSTANTS.items() if name in words}
    return proto_of(f"g (float[3,107] x) => ({outputs}) {{ {nodes} }}", opset=opset, **read)


FUSED = {
    "divided": (17, "a = Add(x, c3) b = Clip(a, o, six) y = Div(b, six)"),
    "times what is 1 / 6": (17, "a = Add(x, c3) b = Clip(a, o, six) y = Mul(b, sixth)"),
    "turned": (13, "a = Add(c3, x) b = Clip(a, o, six) y = Mul(sixth, b)"),
    "attributes": (10, f"a = Add(x, c3) b = Clip{ATTRIBUTES}(a) y = Div(b, six)"),
    "other numbers": (11, "a = Add(x, half) b = Clip(a, o, one) y = Div(b, one)"),
    "swish": (17, "a = Add(x, c3) b = Clip(a, o, six) d = Mul(x, b) y = Div(d, six)"),
    "turned swish": (12, "a = Add(c3, x) b = Clip(a, o, six) d = Mul(b, x) y = Mul(d, sixth)"),
    "swish with attributes": (7, f"a = Add(x, c3) b = Clip{ATTRIBUTES}(a) d = Mul(x, b) y = Div(d, six)"),
    "swish of a quotient": (17, "a = Add(x, c3) b = Clip(a, o, six) d = Div(b, six) y = Mul(x, d)"),
    "times another value": (17, "a = Add(x, c3) b = Clip(a, o, six) e = Neg(x) d = Mul(e, b) y = Div(d, six)"),
    "times a row": (17, "a = Add(x, c3) b = Clip(a, o, six) d = Mul(b, row) y = Div(d, six)"),
    "and a shared x": (17, "a = Add(x, c3) b = Clip(a, o, six) d = Div(b, six) e = Abs(x) y = Mul(e, d)"),
}


@pytest.mark.parametrize("name", FUSED)
def test_every_spelling_is_one_node(name: str) -> None:
    opset, nodes = FUSED[name]
    proto = model_with(nodes, opset)
    model = as_model(proto)
    assert fuse_hard_sigmoids(model) == 1
    assert fuse_hard_sigmoids(model) == 0
    ops = [op_name(node) for node in model.ir.graph]
    assert ops.count("HardSigmoid") == 1
    assert not {"Clip", "Add", "Div"} & set(ops)
    assert all(value.uses() for value, *_ in find_constants(model))
    (before,), (after,) = (session(each, exact=True).run(None, {"x": X}) for each in (proto, model))
    assert before.shape == after.shape
    assert np.abs(before - after).max() <= 4 * np.finfo(np.float32).eps * np.abs(before).max()


STAYS = {
    "the sum is read by others": "a = Add(x, c3) b = Clip(a, o, six) d = Div(b, six) y = Add(d, a)",
    "as is what is clipped": "a = Add(x, c3) b = Clip(a, o, six) d = Div(b, six) y = Add(d, b)",
    "as is the product": "a = Add(x, c3) b = Clip(a, o, six) d = Mul(x, b) e = Div(d, six) y = Add(d, e)",
    "a square": "a = Add(x, c3) b = Clip(a, o, six) d = Mul(b, b) y = Div(d, six)",
    "from below 0": "a = Add(x, c3) b = Clip(a, low, six) y = Div(b, six)",
    "from nowhere": "a = Add(x, c3) b = Clip(a, , six) y = Div(b, six)",
    "to nowhere": "a = Add(x, c3) b = Clip(a, o) y = Div(b, six)",
    "to no number": "a = Add(x, c3) b = Clip(a, o, nan) y = Div(b, six)",
    "to infinity": "a = Add(x, c3) b = Clip(a, o, inf) y = Div(b, inf)",
    "to below 0": "a = Add(x, c3) b = Clip(a, o, minus) y = Div(b, minus)",
    "to 0": "a = Add(x, c3) b = Clip(a, o, o) y = Div(b, o)",
    "another divisor": "a = Add(x, c3) b = Clip(a, o, six) y = Div(b, seven)",
    "another factor": "a = Add(x, c3) b = Clip(a, o, six) y = Mul(b, half)",
    "a reciprocal": "a = Add(x, c3) b = Clip(a, o, six) y = Div(six, b)",
    "a tensor is added": "a = Add(x, row) b = Clip(a, o, six) y = Div(b, six)",
    "a tensor divides": "a = Add(x, c3) b = Clip(a, o, six) y = Div(b, row)",
    "an axis is added": "a = Add(x, c3) b = Clip(a, o, six) y = Div(b, wide)",
    "computed bounds": "h = Abs(six) a = Add(x, c3) b = Clip(a, o, h) y = Div(b, six)",
    "no sum": "b = Clip(x, o, six) y = Div(b, six)",
    "a difference": "a = Sub(x, c3) b = Clip(a, o, six) y = Div(b, six)",
    "nothing divides": "a = Add(x, c3) y = Clip(a, o, six)",
}


@pytest.mark.parametrize("name", STAYS)
def test_what_is_not_one_stays(name: str) -> None:
    proto = model_with(STAYS[name])
    model = as_model(proto)
    assert fuse_hard_sigmoids(model) == 0
    assert [op_name(node) for node in model.ir.graph] == [node.op_type for node in proto.graph.node]


@pytest.mark.parametrize("between", "abd")
def test_a_value_in_between_that_is_an_output_stays(between: str) -> None:
    nodes = "a = Add(x, c3) b = Clip(a, o, six) d = Mul(x, b) y = Div(d, six)"
    assert fuse_hard_sigmoids(as_model(model_with(nodes, outputs=f"float[] y, float[] {between}"))) == 0


@pytest.mark.parametrize("name", ["c3", "o", "six"])
def test_numbers_that_a_caller_may_change_stay(name: str) -> None:
    proto = model_with(FUSED["divided"][1])
    proto.graph.input.append(helper.make_tensor_value_info(name, FLOAT, CONSTANTS[name].shape))
    assert fuse_hard_sigmoids(as_model(proto)) == 0


def test_half_precision_stays() -> None:
    halves = {name: CONSTANTS[name].astype(np.float16) for name in ("c3", "o", "six")}
    body = "g (float16[3,107] x) => (float16[] y) { a = Add(x, c3) b = Clip(a, o, six) y = Div(b, six) }"
    assert fuse_hard_sigmoids(as_model(proto_of(body, **halves))) == 0


def test_a_number_becomes_no_row() -> None:
    """A sum of a scalar and [1] has an axis; so has its quotient."""
    constants = {"c3": CONSTANTS["c3"].reshape(1), "o": np.float32(0), "six": np.float32(6)}
    proto = proto_of("g (float x) => (float[] y) { a = Add(x, c3) b = Clip(a, o, six) y = Div(b, six) }", **constants)
    model = as_model(proto)
    fuse_hard_sigmoids(model)
    x = np.array(1, np.float32)
    (before,), (after,) = (session(each, exact=True).run(None, {"x": x}) for each in (proto, model))
    assert before.shape == after.shape


def test_each_of_several() -> None:
    body = " ".join(
        f"a{k} = Add(v{k}, c3) b{k} = Clip(a{k}, o, six) d{k} = Mul(v{k}, b{k}) v{k + 1} = Div(d{k}, six)"
        for k in range(3)
    )
    proto = model_with(body.replace("v0", "x").replace("v3", "y"))
    model = as_model(proto)
    assert fuse_hard_sigmoids(model) == 3
    assert [op_name(node) for node in model.ir.graph] == ["HardSigmoid", "Mul"] * 3
    (before,), (after,) = (session(each, exact=True).run(None, {"x": X}) for each in (proto, model))
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()
