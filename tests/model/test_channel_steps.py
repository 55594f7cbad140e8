"""Arithmetic with constants beside a weight is part of it afterwards; what is no factor a channel stays."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nncompress.model.absorb import absorb_scales
from nncompress.model.constants import find_constants
from nncompress.model.model import Model, op_name
from tests.models import FLOAT, as_model, noise, proto_of, session

N = 6  # channels
IMAGE, ROWS = "float[2,4,5,5] x", "float[2,4] x"
FEEDS = {IMAGE: noise(2, 4, 5, 5, seed=7), ROWS: noise(2, 4, seed=7)}
CONSTANTS = {
    "w": noise(N, 4, 3, 3), "wg": noise(N, 2, 3, 3), "wt": noise(4, N, 3, 3), "m": noise(4, N), "mt": noise(N, 4),
    "sq": noise(4, 4), "m1": noise(4, 1), "b": noise(N, seed=1), "b1": noise(1, seed=1),
    "c": np.float32(1.7), "d": np.array([-0.6], np.float32), "one4": np.full((1, 1, 1, 1), 2.5, np.float32),
    "one5": np.full((1, 1, 1, 1, 1), 2.5, np.float32), "two": np.full((1, 1), 2.5, np.float32),
    "p": noise(1, N, 1, 1, seed=2), "p3": noise(N, 1, 1, seed=2), "q": noise(N, seed=3), "q2": noise(1, N, seed=3),
    "q4": noise(4, seed=3), "row": noise(2, 1, 1, 1, seed=4), "column": noise(2, 1, seed=4),
    "zero": np.zeros((), np.float32),
    "nan": np.full((), np.nan, np.float32), "inf": np.full((), np.inf, np.float32),
    "wn": noise(4, N, 3, 3), "tiny": np.full((), 1e-44, np.float32), "huge": np.full((), 1e38, np.float32),
    "full": np.array([1, N, 1, 1], np.int64),
}  # fmt: skip


def model_with(head: str, nodes: str, opset: int = 17, outputs: str = "float[] y") -> onnx.ModelProto:
    """The nodes, and those of the constants that they read."""
    words = set(nodes.replace(",", " ").replace("(", " ").replace(")", " ").split())
    read = {name: array for name, array in CONSTANTS.items() if name in words}
    return proto_of(f"g ({head}) => ({outputs}) {{ {nodes} }}", opset=opset, **read)


def outputs_of(model: Model | onnx.ModelProto, **feed: np.ndarray) -> list[np.ndarray]:
    """Without what onnxruntime would absorb of its own accord."""
    return list(session(model, exact=True).run(None, feed))


def absorbed(proto: onnx.ModelProto, **feed: np.ndarray) -> tuple[int, Model]:
    """How many nodes are gone, of a model that computes the same, and loses nothing when asked again."""
    model = as_model(proto)
    count = absorb_scales(model)
    for before, after in zip(outputs_of(proto, **feed), outputs_of(model, **feed), strict=True):
        assert before.shape == after.shape
        assert np.abs(before - after).max(initial=0) <= 2e-5 * np.abs(before).max(initial=0)
    assert absorb_scales(model) == 0
    assert all(value.uses() or value.is_graph_output() for value, *_ in find_constants(model))
    return count, model


BEHIND = {
    "a factor": (IMAGE, "h = Conv(x, w) y = Mul(h, c)"),
    "a factor on the left": (IMAGE, "h = Conv(x, w, b) y = Mul(one4, h)"),
    "a divisor": (IMAGE, "h = Conv(x, w, b) y = Div(h, p)"),
    "a sum without a bias": (IMAGE, "h = Conv<pads=[1,1,1,1]>(x, w) y = Add(p, h)"),
    "a difference": (IMAGE, "h = Conv(x, w, b) y = Sub(h, p3)"),
    "turned around": (IMAGE, "h = Conv(x, w, b) y = Sub(p3, h)"),
    "groups": (IMAGE, "h = Conv<group=2>(x, wg, b) y = Mul(h, p)"),
    "transposed": (IMAGE, "h = ConvTranspose(x, wt) y = Mul(h, p)"),
    "Gemm": (ROWS, "h = Gemm<alpha=0.5>(x, m, b) y = Mul(h, q)"),
    "turned Gemm": (ROWS, "h = Gemm<transB=1>(x, mt, b) y = Add(q2, h)"),
    "a constant that is reshaped": (IMAGE, "r = Reshape(q, full) h = Conv(x, w, b) y = Add(h, r)"),
    "one channel": (ROWS, "h = Gemm(x, m1, b1) y = Mul(h, two)"),
}
BEFORE = {
    "a factor": (IMAGE, "h = Mul(x, c) y = Conv<pads=[1,1,1,1]>(h, w, b)"),
    "a divisor": (IMAGE, "h = Div(x, one4) y = Conv<group=2>(h, wg)"),
    "a sum": (IMAGE, "h = Add(c, x) y = Conv<group=2>(h, wg)"),
    "a difference": (IMAGE, "h = Sub(x, d) y = Conv<auto_pad=\"VALID\">(h, w, b)"),
    "turned around": (IMAGE, "h = Sub(d, x) y = Conv(h, w, b)"),
    "Gemm": (ROWS, "h = Sub(x, c) y = Gemm(h, m)"),
    "turned Gemm": (ROWS, "h = Add(x, c) y = Gemm<transB=1, beta=1.0>(h, mt, b)"),
    "turned rows": (ROWS, "h = Add(x, c) y = Gemm<transA=1>(h, column)"),
}  # fmt: skip


@pytest.mark.parametrize("opset", [7, 11, 17])
@pytest.mark.parametrize("name", BEHIND)
def test_behind_it(name: str, opset: int) -> None:
    head, nodes = BEHIND[name]
    count, model = absorbed(model_with(head, nodes, opset), x=FEEDS[head])
    assert (count, len(list(model.ir.graph))) == (1, 1)


@pytest.mark.parametrize("name", BEFORE)
def test_in_front_of_it(name: str) -> None:
    head, nodes = BEFORE[name]
    count, model = absorbed(model_with(head, nodes), x=FEEDS[head])
    assert (count, len(list(model.ir.graph))) == (1, 1)


def test_where_zeros_are_padded_a_sum_behind_a_factor_changes_places_with_it() -> None:
    nodes = "g = Div(x, c) h = Sub(g, d) y = Conv<pads=[1,1,0,0]>(h, w, b)"
    count, model = absorbed(model_with(IMAGE, nodes), x=FEEDS[IMAGE])
    assert (count, [op_name(node) for node in model.ir.graph]) == (1, ["Add", "Conv"])


def test_a_chain_is_absorbed_from_both_sides() -> None:
    nodes = "a = Mul(x, c) e = Add(a, d) h = Conv(e, w) i = Mul(h, p) j = Sub(i, q3) k = Div(j, c) y = Neg(k)"
    proto = model_with(IMAGE, nodes.replace("q3", "p3"))
    count, model = absorbed(proto, x=FEEDS[IMAGE])
    assert (count, [op_name(node) for node in model.ir.graph]) == (5, ["Conv", "Neg"])


STAYS = {
    "another axis": (IMAGE, "h = Conv(x, w) y = Mul(h, row)"),
    "rows": (ROWS, "h = Gemm(x, m) y = Mul(h, column)"),
    "more axes than the result": (IMAGE, "h = Conv(x, w) y = Mul(h, one5)"),
    "more axes than the data": ("float[4,5,5] x", "h = Mul(x, one4) y = Conv(h, w)"),
    "more axes than the row": ("float[4] x", "h = Mul(x, two) y = Gemm(h, m)"),
    "more columns than the result": (ROWS, "h = Gemm(x, m1) y = Mul(h, q2)"),
    "channels of the data": ("float[2,6,5,5] x", "h = Mul(x, p) y = Conv(h, wn)"),
    "a shared weight": (IMAGE, "h = Conv(x, w) i = Conv(x, w) j = Mul(h, c) y = Add(i, j)"),
    "a shared result": (IMAGE, "h = Conv(x, w) j = Mul(h, c) y = Add(h, j)"),
    "a square": (IMAGE, "h = Conv(x, w) y = Mul(h, h)"),
    "shared data": (IMAGE, "h = Mul(x, c) i = Conv(h, w) j = ReduceSum<keepdims=0>(h) y = Add(i, j)"),
    "a reciprocal": (IMAGE, "h = Conv(x, w) y = Div(c, h)"),
    "a reciprocal before": (IMAGE, "h = Div(c, x) y = Conv(h, w)"),
    "by zero": (IMAGE, "h = Conv(x, w) y = Div(h, zero)"),
    "no number": (IMAGE, "h = Conv(x, w) y = Add(h, nan)"),
    "no end": (IMAGE, "h = Conv(x, w) y = Mul(h, inf)"),
    "weights that vanish": (IMAGE, "h = Conv(x, w) y = Mul(h, tiny)"),
    "a bias that counts half": (ROWS, "h = Gemm<beta=0.5>(x, m, b) y = Mul(h, q)"),
    "groups of a transposed one": ("float[2,4,5,5] x", "h = ConvTranspose<group=2>(x, wt) y = Mul(h, c)"),
    "a sum where zeros are padded": (IMAGE, "h = Add(x, c) y = Conv<auto_pad=\"SAME_UPPER\">(h, w)"),
    "a sum in front of a factor": (ROWS, "h = Add(x, c) y = Gemm<alpha=0.5>(h, m)"),
    "a sum in front of a transposed one": (IMAGE, "h = Add(x, c) y = ConvTranspose(h, wt)"),
}  # fmt: skip


@pytest.mark.parametrize("name", STAYS)
def test_what_is_no_factor_of_its_own_stays(name: str) -> None:
    proto = model_with(*STAYS[name])
    model = as_model(proto)
    assert absorb_scales(model) == 0
    assert [op_name(node) for node in model.ir.graph] == [node.op_type for node in proto.graph.node]


def test_a_step_whose_operand_a_caller_may_change_stays() -> None:
    proto = model_with(IMAGE, "h = Conv(x, w, b) y = Mul(h, p)")
    for name in "wbp":
        shape = CONSTANTS[name].shape
        one = onnx.ModelProto.FromString(proto.SerializeToString())
        one.graph.input.append(helper.make_tensor_value_info(name, FLOAT, shape))
        assert absorb_scales(as_model(one)) == 0


@pytest.mark.parametrize("nodes", ["h = Conv(x, w) y = Mul(h, c)", "h = Mul(x, c) y = Conv(h, w)"])
def test_a_value_in_between_that_is_an_output_stays(nodes: str) -> None:
    assert absorb_scales(as_model(model_with(IMAGE, nodes, outputs="float[] y, float[] h"))) == 0


def test_a_reshaped_constant_that_is_an_output_stays_one() -> None:
    proto = model_with(IMAGE, "r = Reshape(q, full) h = Conv(x, w) y = Add(h, r)", outputs="float[] y, float[] r")
    count, model = absorbed(proto, x=FEEDS[IMAGE])
    assert (count, [output.name for output in model.ir.graph.outputs]) == (1, ["y", "r"])


def test_an_axis_that_is_named_stays() -> None:
    """As it was before opset 7."""
    body = f"g ({ROWS.replace('2', '4')}) => (float[] y) {{ h = Gemm(x, sq) y = Add<broadcast=1, axis=0>(h, q4) }}"
    assert absorb_scales(as_model(proto_of(body, opset=6, sq=CONSTANTS["sq"], q4=CONSTANTS["q4"]))) == 0


def test_a_function_that_does_not_say_how_its_weight_lies() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    g (float[2,4] x) => (float[] y) { y = local.f<turn=1>(x) }
    <domain: "local", opset_import: ["" : 17]> f <turn>(x) => (y) {
        w = Constant() s = Constant() h = Gemm<transB: int = @turn>(x, w) y = Mul(h, s) }"""
    proto = onnx.parser.parse_model(text)
    for node, name in zip(proto.functions[0].node, ("sq", "q4"), strict=False):
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(CONSTANTS[name])))
    assert absorbed(proto, x=FEEDS[ROWS])[0] == 0


def test_no_channels_and_no_elements() -> None:
    empty = np.zeros((1, 0, 1, 1), np.float32)
    proto = proto_of(
        "g (float[2,0,5,5] x) => (float[] y) { h = Mul(x, e) y = Conv(h, w) }", e=empty,
        w=np.zeros((N, 0, 3, 3), np.float32),
    )  # fmt: skip
    assert absorb_scales(as_model(proto)) == 0


@pytest.mark.parametrize(("factor", "count"), [(0.5, 1), (6e4, 0), (1e-5, 0)])
def test_half_precision_neither_overflows_nor_wears_out(factor: float, count: int) -> None:
    body = "g (float16[2,4,5,5] x) => (float16[] y) { h = Conv(x, w) y = Mul(h, c) }"
    weight = noise(N, 4, 3, 3).astype(np.float16)
    assert absorb_scales(as_model(proto_of(body, w=weight, c=np.array(factor, np.float16)))) == count


def test_double_precision_stays_double() -> None:
    body = "g (double[2,4] x) => (double[] y) { h = Mul(x, c) i = Gemm(h, m, b) y = Div(i, c) }"
    doubles = {name: CONSTANTS[name].astype(np.float64) for name in "cmb"}
    proto = proto_of(body, **doubles)
    model = as_model(proto)
    assert absorb_scales(model) == 2
    x = FEEDS[ROWS].astype(np.float64)
    (before,), (after,) = outputs_of(proto, x=x), outputs_of(model, x=x)
    assert np.abs(before - after).max() < 1e-14 * np.abs(before).max()
    doubles["c"] = np.array(5e-324)  # whose reciprocal is infinite
    assert absorb_scales(as_model(proto_of(body.replace("Mul", "Div"), **doubles))) == 0


# ------------------------------------------------------------------------------------------------ random graphs
LINEARS = {
    "Conv": ("w", "<pads=[1,1,1,1]>"), "bare Conv": ("w", ""), "grouped Conv": ("wg", "<group=2>"),
    "ConvTranspose": ("wt", ""), "Gemm": ("m", ""), "turned Gemm": ("mt", "<transB=1>"),
    "half Gemm": ("m", "<alpha=0.5>"),
}  # fmt: skip
NUMBERS = ["c", "d", "one4", "two"]
BESIDE = {True: [*NUMBERS, "p", "p3", "row", "one5"], False: [*NUMBERS[:2], "two", "q", "q2", "column"]}


@pytest.mark.parametrize("seed", range(40))
def test_random_arithmetic_around_a_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(LINEARS)))
    weight, attributes = LINEARS[kind]
    images = "Gemm" not in kind
    nodes, value, outputs = [], "x", ["float[] y"]
    before, behind = NUMBERS[: 4 if images else 2], BESIDE[images]
    steps = [*[before] * rng.integers(4), [], *[behind] * rng.integers(4)]
    for place, choices in enumerate(steps):
        if not choices:
            bias = ", b" if rng.random() < 0.5 else ""
            nodes.append(f"v{place} = {kind.rpartition(' ')[2]}{attributes}({value}, {weight}{bias})")
        elif rng.random() < 0.3:  # no Div, which may come close to 1 / 0
            nodes.append(f"v{place} = {rng.choice(['Mul', 'Add', 'Sub'])}({rng.choice(choices)}, {value})")
        else:
            nodes.append(f"v{place} = {rng.choice(['Mul', 'Add', 'Sub', 'Div'])}({value}, {rng.choice(choices)})")
        value = f"v{place}"
        if rng.random() < 0.1:
            outputs.append(f"float[] {value}")
    nodes.append(f"y = Neg({value})")
    head = IMAGE if images else ROWS
    absorbed(model_with(head, " ".join(nodes), outputs=", ".join(outputs)), x=FEEDS[head])
